import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { build } from "tsdown";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { type MockApi, mockApi } from "../../src/testing/index.ts";
import { freePort } from "../free-port.ts";
import { processesWith } from "../real/processes.ts";
import { PNG } from "../session/prompt-contents.ts";
import { type Browser, browser, type Tab } from "./browser.ts";

/*
 * The chat of `examples/web/chat`: the real `useChat` in Chromium, its server in a process of its own, and the real
 * Claude Code.
 */

const root = join(import.meta.dirname, "../..");
const WORDS = Array.from({ length: 60 }, (_, index) => `word${index}`).join(" ");
const WAIT = { timeout: 60_000, interval: 50 };

let folder: string;
let api: MockApi;

beforeAll(async () => {
  await mkdir(join(root, "reports"), { recursive: true });
  folder = await mkdtemp(join(root, "reports/chat-"));
  const entry = join(folder, "entry.js");
  await writeFile(
    entry,
    `import { createElement } from "react";
     import { createRoot } from "react-dom/client";
     import { Chat } from ${JSON.stringify(join(root, "examples/web/chat/chat.tsx"))};
     const id = location.hash.slice(1);
     const before = await (await fetch("/api/chat/" + id + "/messages")).json();
     createRoot(document.getElementById("root")).render(createElement(Chat, { id, before }));`,
  );
  const common = {
    config: false,
    format: "esm",
    dts: false,
    logLevel: "error",
    fixedExtension: false,
    clean: false,
  } as const;
  const castellan = { castellan: join(root, "src/index.ts") };
  await build({
    ...common,
    entry: { page: entry },
    outDir: join(folder, "page"),
    platform: "browser",
    deps: { alwaysBundle: [/./] },
    define: { "process.env.NODE_ENV": '"production"' },
  });
  await build({
    ...common,
    entry: { server: join(root, "test/soak/chat-server.ts") },
    outDir: join(folder, "server"),
    platform: "node",
    alias: castellan,
  });
}, 120_000);

afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

beforeEach(async () => {
  api = await mockApi();
});

afterEach(async () => {
  const left = (): number[] => processesWith(`CLAUDE_CONFIG_DIR=${api.env["CLAUDE_CONFIG_DIR"]}`);
  await vi.waitUntil(() => left().length === 0, { timeout: 20_000 });
  await api.stop();
});

async function serve(journal: string, port: number): Promise<ChildProcess> {
  const page = join(folder, "page/page.js");
  const child = spawn(process.execPath, [join(folder, "server/server.js"), journal, page, `${port}`], {
    env: { ...api.env, PATH: process.env["PATH"] },
    cwd: api.cwd,
    stdio: ["ignore", "pipe", "inherit"],
  });
  await once(createInterface(child.stdout), "line");
  return child;
}

/** What the user sees: each message with its parts. */
async function shown(tab: Tab): Promise<string[]> {
  return await tab.evaluate<string[]>(
    `Array.from(document.querySelectorAll("section > *"), (part) => part.parentElement.className + " " + part.innerText.trim())`,
  );
}

async function sees(tab: Tab, text: string | RegExp): Promise<void> {
  await vi.waitUntil(async () => (await shown(tab)).join("\n").search(text) >= 0, WAIT);
}

/** Reloads the page. Resolves once the new document is there: the old one still answers for a moment. */
async function reload(tab: Tab): Promise<void> {
  await tab.evaluate("document.body.className = 'old'; location.reload()");
  const isNew = tab.evaluate.bind(tab, "document.readyState === 'complete' && document.body.className !== 'old'");
  await vi.waitUntil(async () => await isNew().catch(() => false), WAIT);
}

async function ask(tab: Tab, prompt: string): Promise<void> {
  await vi.waitUntil(async () => await tab.evaluate("document.querySelector('input')?.disabled === false"), WAIT);
  await tab.evaluate(`(() => {
    const input = document.querySelector("input");
    Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, "value").set.call(input, ${JSON.stringify(prompt)});
    input.dispatchEvent(new Event("input", { bubbles: true }));
  })()`);
  await tab.evaluate(
    "new Promise((resolve) => requestAnimationFrame(resolve)).then(() => document.querySelector('form').requestSubmit())",
  );
}

async function opened(chromium: Browser, url: string): Promise<Tab> {
  const tab = await chromium.tab();
  await tab.goto(url);
  return tab;
}

interface Chat extends AsyncDisposable {
  readonly url: string;
  readonly chromium: Browser;
  /** Ends the server by this signal, and starts it again. */
  restart(signal: "SIGKILL" | "SIGTERM"): Promise<void>;
}

async function chat(): Promise<Chat> {
  const port = await freePort();
  const journal = join(await mkdtemp(join(folder, "journal-")), "journal.db");
  const chromium = await browser();
  let server = await serve(journal, port);
  const end = async (signal: "SIGKILL" | "SIGTERM"): Promise<void> => {
    const exited = once(server, "exit");
    server.kill(signal);
    await exited;
  };
  return {
    url: `http://127.0.0.1:${port}`,
    chromium,
    restart: async (signal) => {
      await end(signal);
      server = await serve(journal, port);
    },
    [Symbol.asyncDispose]: async () => {
      await chromium[Symbol.asyncDispose]();
      await end("SIGTERM");
    },
  };
}

const ANSWER = ["user go", `assistant ${WORDS}`];

describe("useChat", () => {
  test("a reload in mid-stream, and a second tab, show the whole answer once", async () => {
    api.reply("go", { text: WORDS, tokensPerSecond: 15 });
    await using app = await chat();
    const tab = await opened(app.chromium, `${app.url}/#one`);
    await ask(tab, "go");
    await sees(tab, /word3 /);
    await reload(tab);
    await sees(tab, /word6 /);
    const second = await opened(app.chromium, `${app.url}/#one`);
    await sees(second, /word9 /);
    await Promise.all([tab, second].map((one) => sees(one, "word59")));
    expect(await Promise.all([tab, second].map(shown))).toEqual([ANSWER, ANSWER]);
    // Nothing runs: the page has the messages of the record.
    await reload(tab);
    await sees(tab, "word59");
    expect(await shown(tab)).toEqual(ANSWER);
    await expect.poll(async () => (await fetch(`${app.url}/api/chat/one/stream`)).status).toBe(204);
  }, 180_000);

  test.each(["SIGKILL", "SIGTERM"] as const)(
    "a restart of the server by %s in mid-stream: the page shows the whole answer once",
    async (signal) => {
      api.reply("go", { text: WORDS, tokensPerSecond: 15 });
      await using app = await chat();
      const tab = await opened(app.chromium, `${app.url}/#two`);
      await ask(tab, "go");
      await sees(tab, /word5 /);
      await app.restart(signal);
      await sees(tab, "word59");
      expect(await shown(tab)).toEqual(ANSWER);
      await ask(tab, "again");
      await sees(tab, "You said: again");
      expect(await shown(tab)).toEqual([...ANSWER, "user again", "assistant You said: again"]);
    },
    180_000,
  );

  test("an image is sent with a message, reaches the model, and is shown again after a reload", async () => {
    api.reply("what is this", "a red dot");
    await using app = await chat();
    const tab = await opened(app.chromium, `${app.url}/#four`);
    await vi.waitUntil(async () => await tab.evaluate("document.querySelector('input[type=file]') !== null"), WAIT);
    await tab.evaluate(`(() => {
      const bytes = Uint8Array.from(atob(${JSON.stringify(PNG)}), (byte) => byte.charCodeAt(0));
      const files = new DataTransfer();
      files.items.add(new File([bytes], "dot.png", { type: "image/png" }));
      const input = document.querySelector("input[type=file]");
      input.files = files.files;
      input.dispatchEvent(new Event("change", { bubbles: true }));
    })()`);
    await ask(tab, "what is this");
    await sees(tab, "a red dot");
    const image = "document.querySelector('section.user img')?.src";
    expect(await tab.evaluate<string>(image)).toBe(`data:image/png;base64,${PNG}`);
    // The mock leaves out images. Claude Code names the file of each one behind it.
    expect(JSON.stringify(api.requests.map(({ raw }) => raw))).toContain("[Image: source:");
    // The next message has no file.
    await ask(tab, "again");
    await sees(tab, "You said: again");
    await app.restart("SIGTERM");
    await reload(tab);
    await sees(tab, "You said: again");
    expect(await tab.evaluate<string>(image)).toBe(`data:image/png;base64,${PNG}`);
    expect(await tab.evaluate("document.querySelectorAll('section img').length")).toBe(1);
    expect((await shown(tab)).filter((part) => part !== "user ")).toEqual([
      "user what is this",
      "assistant a red dot",
      "user again",
      "assistant You said: again",
    ]);
  }, 180_000);

  test("an approval is shown, survives a reload, and its answer reaches Claude", async () => {
    api.reply("go", { text: "I create it.", toolUses: [{ name: "Bash", input: { command: "touch made" } }] });
    await using app = await chat();
    const tab = await opened(app.chromium, `${app.url}/#three`);
    await ask(tab, "go");
    await vi.waitUntil(async () => await tab.evaluate("document.querySelector('button.yes') !== null"), WAIT);
    await reload(tab);
    await vi.waitUntil(async () => await tab.evaluate("document.querySelector('button.yes') !== null"), WAIT);
    expect((await shown(tab)).join("\n")).toContain("touch made");
    await tab.evaluate("document.querySelector('button.yes').click()");
    await sees(tab, "The tool said");
    const parts = await shown(tab);
    expect(parts.filter((part) => part === "assistant I create it.")).toHaveLength(1);
    expect(parts.filter((part) => part.includes("touch made"))).toHaveLength(1);
    expect(parts).toContain("assistant approved");
    await reload(tab);
    await sees(tab, "The tool said");
    expect((await shown(tab)).toSorted()).toEqual(parts.toSorted());
  }, 180_000);
});

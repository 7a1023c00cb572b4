import { execFile } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CastellanClient } from "../../src/client/index.ts";
import { type MessagesApi, type MessagesModel, messagesApi } from "../../src/testing/index.ts";
import { castellan } from "../cli/command-line.ts";
import { PNG } from "../session/prompt-contents.ts";
import {
  chromiumWithPages,
  expectAccessible,
  picture,
  Served,
  WAIT,
  type WatchedPage,
  watchedPage,
} from "./dashboard-page.ts";

/* What people do with a session on its page, with the real Claude Code in Chromium. */

const MCP = join(import.meta.dirname, "failing-mcp-server.ts");
const HOSTILE = `<img src=x onerror="document.title='owned'">`;

let chromium: Browser;

beforeAll(async () => {
  chromium = await chromiumWithPages();
});
afterAll(async () => await chromium.close());

const textOf = (content: unknown): string => JSON.stringify(content);

/** `do the job` reads a pipe, so that its turn ends when the test writes to that; `never answer` has no end. */
const model: MessagesModel = ({ body }) => {
  const last = textOf(body.messages.findLast(({ role }) => role === "user")?.content);
  if (last.includes("never answer")) return "hangs";
  if (last.includes("do the job") && !last.includes("tool_result"))
    return { toolUses: [{ name: "Bash", input: { command: "cat gate" } }] };
  return { text: last.includes("tool_result") ? "The work is done." : "Seen." };
};

/** Lets the turn that works go on. */
async function open(api: MessagesApi): Promise<void> {
  await writeFile(join(api.cwd, "gate"), "go");
}

const sessionUrl = ({ url }: Served, name: string, query = ""): string =>
  `${url}/dashboard/sessions/${encodeURIComponent(JSON.stringify(name))}${query}`;

/** Types a prompt and sends it. */
async function prompt(page: Page, text: string): Promise<void> {
  await page.getByLabel("Prompt", { exact: true }).fill(text);
  await page.keyboard.press("Enter");
}

async function choose(page: Page, name: string, item: string): Promise<void> {
  await page.getByRole("button", { name: `Actions for ${name}` }).click();
  await page.locator("dialog.menu").getByRole("button", { name: item, exact: true }).click();
}

/** Resolves once the page shows the state of the session. */
async function hasState(page: Page, state: string): Promise<void> {
  await page.locator(".session-title .state").getByText(state).waitFor({ timeout: WAIT });
}

const png = (name: string, bytes = 0) => ({
  name,
  mimeType: "image/png",
  buffer: Buffer.concat([Buffer.from(PNG, "base64"), Buffer.alloc(bytes)]),
});

/** Gives the page a file as a paste or a drop does. */
async function give(page: Page, way: "paste" | "drop", name: string): Promise<void> {
  await page.evaluate(
    `(() => {
      const bytes = Uint8Array.from(atob(${JSON.stringify(PNG)}), (one) => one.charCodeAt(0));
      const data = new DataTransfer();
      data.items.add(new File([bytes], ${JSON.stringify(name)}, { type: "image/png" }));
      const target = ${way === "paste"} ? document.querySelector(".prompt textarea") : document.querySelector("h1");
      const init = { bubbles: true, cancelable: true };
      target.dispatchEvent(${way === "paste"}
        ? new ClipboardEvent("paste", { ...init, clipboardData: data })
        : new DragEvent("drop", { ...init, dataTransfer: data }));
    })()`,
  );
}

/** Expects that nothing went wrong but requests that the server refuses with these statuses, which browsers report by themselves. */
function expectCalm({ complaints }: WatchedPage, ...refused: readonly number[]): void {
  expect(complaints.filter((text) => !refused.some((status) => text.includes(`a status of ${status}`)))).toEqual([]);
}

describe("a session's page", () => {
  test("sends text and images, keeps what was not accepted, queues, steers, cancels and interrupts", async () => {
    await using api = await messagesApi(model);
    await promisify(execFile)("mkfifo", [join(api.cwd, "gate")]);
    await using served = await Served.start(api, [{ name: "assistant", allowedTools: ["Bash"] }]);
    const session = served.client.session("assistant");
    const watched = await watchedPage(chromium, sessionUrl(served, "assistant"));
    const { page } = watched;
    const box = page.getByLabel("Prompt", { exact: true });
    await hasState(page, "idle");

    // A draft grows with its lines, and survives a reload and another page.
    await box.click();
    const low = (await box.boundingBox())?.height;
    await page.keyboard.type("What is this?");
    for (const line of ["one", "two", "three", "four"]) {
      await page.keyboard.press("Shift+Enter");
      await page.keyboard.type(line);
    }
    const text = "What is this?\none\ntwo\nthree\nfour";
    expect(await box.inputValue()).toBe(text);
    expect((await box.boundingBox())?.height).toBeGreaterThan(100);
    expect(low).toBeLessThan(100);
    await page.locator("input[type=file]").setInputFiles([png("one.png"), png("two.png")]);
    await page.getByRole("button", { name: "Remove two.png" }).click();
    await give(page, "paste", "pasted.png");
    await page.getByRole("button", { name: "Remove pasted.png" }).waitFor();
    await give(page, "drop", "dropped.png");
    await page.getByRole("button", { name: "Remove dropped.png" }).waitFor();
    await page.reload();
    await page.getByRole("link", { name: "Back to all sessions" }).click();
    await page.getByRole("heading", { name: "Fleet" }).waitFor({ state: "attached" });
    await page.goBack();
    expect(await box.inputValue()).toBe(text);
    expect(await page.locator(".prompt-images li").count()).toBe(3);
    const loaded = await page.evaluate(
      `[...document.querySelectorAll(".prompt-images img")].map((one) => one.naturalWidth)`,
    );
    expect(loaded).toEqual([1, 1, 1]);

    // What a prompt cannot take is told before it is sent.
    const other = { name: "notes.png", mimeType: "image/png", buffer: Buffer.from("only text") };
    await page.locator("input[type=file]").setInputFiles([other, png("large.png", 16_000_000)]);
    await page.getByText(/large\.png does not fit: a prompt takes 14 MB of images.*notes\.png is no PNG/).waitFor();
    await picture(watched, "controls-draft");
    await expectAccessible(page, "a draft with images");

    // A server that is away keeps the draft; a lost answer sends no second turn.
    await page.route("**/turns", async (route) => {
      if (route.request().method() !== "POST") return await route.continue();
      await route.fetch();
      await route.abort();
    });
    await box.click();
    await page.keyboard.press("Enter");
    await page.getByText(/The prompt was not accepted: .*cannot be reached/).waitFor({ timeout: WAIT });
    expect(await box.inputValue()).toBe(text);
    await picture(watched, "controls-refused");
    await page.unroute("**/turns");
    // The server itself was there all the time.
    await page.locator(".link-dot.is-live").waitFor({ timeout: WAIT });
    await page.reload();
    await expect.poll(() => page.locator(".prompt-images li").count(), { timeout: WAIT }).toBe(3);
    await page.getByRole("button", { name: "Send", exact: true }).click();
    await page.locator(".item.is-text").getByText("Seen.").waitFor({ timeout: WAIT });
    await expect.poll(() => box.inputValue(), { timeout: WAIT }).toBe("");
    const { turns } = await session.turns();
    expect(turns.map(({ state }) => state)).toEqual(["completed"]);
    // The raw request of the real Claude Code has the images.
    const asked = api.requests
      .flatMap(({ body }) => body.messages)
      .flatMap(({ content }) => (typeof content === "string" ? [] : content));
    const image = { type: "image", source: { type: "base64", media_type: "image/png", data: PNG } };
    expect(asked.filter((block) => block.type === "image").slice(0, 3)).toEqual(
      [image, image, image].map((one) => expect.objectContaining(one)),
    );
    expect(textOf(asked)).toContain("What is this?\\none\\ntwo");

    // While a turn runs: queue, cancel, steer.
    await prompt(page, "do the job");
    await page.getByRole("radio", { name: "Queue" }).waitFor({ timeout: WAIT });
    await page.locator(".item.is-tool").waitFor({ timeout: WAIT });
    for (const [count, next] of ["second", "third"].entries()) {
      await prompt(page, `${next} ${HOSTILE}`);
      await page
        .locator(".waiting summary")
        .getByText(`${count + 1} turn`)
        .waitFor({ timeout: WAIT });
    }
    await page.locator(".ways").getByText("Steer").click();
    await box.fill("be brief");
    await picture(watched, "controls-running");
    // Nothing is wider than a phone.
    await page.setViewportSize({ width: 390, height: 844 });
    expect(await page.evaluate("document.documentElement.scrollWidth")).toBe(390);
    await page.setViewportSize({ width: 1280, height: 800 });
    await expectAccessible(page, "a running turn");
    await page.getByRole("button", { name: "Steer", exact: true }).click();
    await expect.poll(() => box.inputValue(), { timeout: WAIT }).toBe("");
    await page.locator(".waiting li", { hasText: "third" }).getByRole("button", { name: "Cancel" }).click();
    await page.locator(".waiting summary").getByText("1 turn").waitFor({ timeout: WAIT });
    await open(api);
    await page.locator(".item.is-text").getByText("The work is done.").waitFor({ timeout: WAIT });
    expect(api.requests.some(({ body }) => /tool_result.*be brief/.test(textOf(body.messages)))).toBe(true);
    await page.locator(".waiting").waitFor({ state: "detached", timeout: WAIT });
    await expect
      .poll(async () => (await session.turns()).turns.map(({ prompt, state }) => [prompt.split(" ")[0], state]), {
        timeout: WAIT,
      })
      .toEqual([
        ["third", "cancelled"],
        ["second", "completed"],
        ["do", "completed"],
        ["What", "completed"],
      ]);

    // An interrupt stops this turn.
    await prompt(page, "never answer");
    await page.getByRole("button", { name: "Interrupt" }).click({ timeout: WAIT });
    await expect
      .poll(async () => (await session.turns({ limit: 1 })).turns[0]?.state, { timeout: WAIT })
      .toBe("interrupted");
    await hasState(page, "idle");
    await page.getByRole("button", { name: "Send", exact: true }).waitFor();

    // Enter can also break the line.
    await page.getByRole("button", { name: /^Enter sends/ }).click();
    await box.fill("a");
    await page.keyboard.press("Enter");
    await page.keyboard.type("b");
    expect(await box.inputValue()).toBe("a\nb");
    await page.keyboard.press("Control+Enter");
    await expect.poll(() => box.inputValue(), { timeout: WAIT }).toBe("");
    expectCalm(watched);
    expect(api.errors).toEqual([]);
  }, 240_000);

  test("forks, describes, exports, clears, archives and erases; shows options, MCP servers, schedules and exits", async () => {
    await using api = await messagesApi(model);
    const mcpServers = {
      good: { type: "stdio", command: process.execPath, args: [MCP, "serve"], env: { SERVER_KEY: "very-secret" } },
      bad: { type: "stdio", command: process.execPath, args: [MCP, "exit"], env: { SERVER_KEY: "very-secret" } },
    };
    await using served = await Served.start(api, [
      {
        name: "assistant",
        labels: { team: "blue" },
        mcpServers,
        env: { ...api.env, OWN_KEY: "very-secret" },
        timeout: "5m",
      },
      { template: "support", sessions: { maxTurns: 7 } },
    ]);
    const { client } = served;
    const session = client.session("assistant");
    await session.query("hello");
    await session.schedule("Say good morning", { every: "1h", idempotencyKey: "hourly" });
    const watched = await watchedPage(chromium, sessionUrl(served, "assistant"));
    const { page } = watched;
    await hasState(page, "idle");

    // The details stand beside the record, and in the address.
    await page.getByRole("button", { name: "Details" }).click();
    await page.waitForURL(/\?details=/);
    const panel = page.locator(".details");
    const server = (name: string) => panel.locator(".servers li", { hasText: name });
    await server("good").getByText("connected").waitFor({ timeout: WAIT });
    await server("bad").getByText("failed").waitFor({ timeout: WAIT });
    await server("bad")
      .getByText(/its last output: DATABASE_URL is not set/)
      .waitFor();
    const option = (name: string) => panel.locator(".options > div", { has: page.getByText(name, { exact: true }) });
    expect(await option("timeout").innerText()).toMatch(/5 min/);
    expect(await option("timeout").locator(".option-origin").innerText()).toMatch(/^session/);
    expect(await option("approvals").locator(".option-origin").innerText()).toMatch(/^supervisor/);
    expect(await option("mcpServers").innerText()).toContain("good, bad");
    expect(await option("env").innerText()).toContain("OWN_KEY");
    await panel.getByRole("button", { name: /Show \d+ built-in defaults/ }).click();
    expect(await option("mailboxLimit").innerText()).toMatch(/built in/);
    await panel.getByRole("button", { name: /Hide/ }).click();
    await panel.getByText("healthy").or(panel.getByText("degraded")).first().waitFor({ timeout: WAIT });
    await panel.getByText("Say good morning").waitFor({ timeout: WAIT });
    expect(await page.content()).not.toContain("very-secret");
    await picture(watched, "controls-details");
    await expectAccessible(page, "the details");
    await page.reload();
    await server("good").getByText("connected").waitFor({ timeout: WAIT });

    // MCP servers.
    await server("good").getByRole("button", { name: "Disable" }).click();
    await server("good").getByText("disabled").waitFor({ timeout: WAIT });
    await server("good").getByRole("button", { name: "Enable" }).click();
    await server("good").getByText("connected").waitFor({ timeout: WAIT });
    await server("bad").getByRole("button", { name: "Reconnect" }).click();
    await page.locator(".notice.failed").waitFor({ timeout: WAIT });

    // A crash is among the exits; without a process the state of MCP servers is not known.
    process.kill((await session.get()).status?.pid ?? 0, "SIGKILL");
    await panel
      .locator(".details-exits li")
      .getByText(/SIGKILL/)
      .first()
      .waitFor({ timeout: WAIT });
    await page.locator(".session-title").getByText("1 restart").waitFor({ timeout: WAIT });
    await hasState(page, "idle");
    await choose(page, "assistant", "Hibernate");
    await hasState(page, "hibernated");
    await server("good").getByText("not known").waitFor({ timeout: WAIT });
    await server("bad").getByText("not known").waitFor();
    const starts = (await session.get()).status?.starts;
    expect(await server("good").getByRole("button").count()).toBe(0);

    // As a sheet on a phone.
    await page.setViewportSize({ width: 390, height: 844 });
    await page.locator("dialog.details").waitFor();
    await picture(watched, "controls-hibernated");
    await expectAccessible(page, "the details of a hibernated session");
    await page.setViewportSize({ width: 390, height: 844 });
    await page.locator("dialog.details").waitFor();
    await page.keyboard.press("Escape");
    await page.locator(".details").waitFor({ state: "detached" });
    expect(new URL(page.url()).search).toBe("");
    await page.setViewportSize({ width: 1280, height: 800 });
    expect(await session.get()).toMatchObject({ state: "hibernated", status: { starts } });
    await choose(page, "assistant", "Wake");
    await hasState(page, "idle");

    // A schedule is cancelled after a question.
    await page.getByRole("button", { name: "Details" }).click();
    await panel.locator(".schedules").getByRole("button", { name: "Cancel" }).click({ timeout: WAIT });
    await page.getByRole("button", { name: "Cancel the schedule" }).click();
    await panel.locator(".schedules li").waitFor({ state: "detached", timeout: WAIT });
    expect(await session.schedules()).toEqual([]);
    await panel.getByRole("button", { name: "Close the details" }).click();

    // Title and labels.
    await choose(page, "assistant", "Edit title and labels…");
    await page.getByLabel("Title").fill(HOSTILE);
    await page.getByRole("button", { name: "Add a label" }).click();
    await page.getByLabel("Name of label 2").fill("not a label");
    await page.getByLabel("Value of label 2").fill("x");
    await page.getByRole("button", { name: "Save" }).click();
    await page
      .locator(".form-failure")
      .getByText(/labels/)
      .waitFor({ timeout: WAIT });
    await picture(watched, "controls-labels");
    await expectAccessible(page, "a form with a failure");
    await page.getByLabel("Name of label 2").fill("plan");
    await page.getByRole("button", { name: "Remove label 1" }).click();
    await page.getByRole("button", { name: "Save" }).click();
    await page.locator(".dialog.form").waitFor({ state: "detached", timeout: WAIT });
    // The removed one is that of the options again.
    expect(await session.get()).toMatchObject({ title: HOSTILE, labels: { plan: "x", team: "blue" } });
    await page.locator(".session-title").getByText(HOSTILE).waitFor({ timeout: WAIT });

    // An export is a file with a safe name.
    const download = page.waitForEvent("download");
    await choose(page, "assistant", "Export…");
    const file = await download;
    expect(file.suggestedFilename()).toMatch(/^assistant-\d{4}-\d\d-\d\d\.jsonl$/);
    const lines = (await readFile(await file.path(), "utf8")).trimEnd().split("\n");
    const types = lines.map((line) => (JSON.parse(line) as { type: string }).type);
    expect(types[0]).toBe("session");
    expect(types).toContain("turn");
    expect(lines).toEqual(await Array.fromAsync(session.export()));

    // A fork continues the conversation, and opens.
    await choose(page, "assistant", "Fork…");
    await page.getByLabel("Name of the fork").fill("assistant");
    await page.getByText("A session has this name already.").waitFor();
    await page.getByLabel("Name of the fork").fill('["support", ');
    await page.getByText(/is a list, such as/).waitFor();
    await page.getByLabel("Name of the fork").fill("copy of it");
    await page.getByText("Opens as copy of it.").waitFor();
    await picture(watched, "controls-fork");
    await expectAccessible(page, "the form of a fork");
    await page.getByRole("button", { name: "Fork", exact: true }).click();
    await page.getByRole("heading", { name: "copy of it" }).waitFor({ timeout: WAIT });
    await hasState(page, "idle");
    await prompt(page, "again");
    await page.locator(".item.is-text").getByText("Seen.").waitFor({ timeout: WAIT });
    expect(textOf(api.lastRequest?.body.messages)).toMatch(/hello.*again/);

    // Clear forgets, after a question.
    await choose(page, "copy of it", "Clear conversation…");
    await page.getByText(/Claude forgets everything said so far/).waitFor();
    await picture(watched, "controls-clear");
    await page.getByRole("button", { name: "Clear", exact: true }).click();
    await page.getByText("copy of it has an empty conversation.").waitFor({ timeout: WAIT });
    await prompt(page, "anew");
    await expect.poll(() => textOf(api.lastRequest?.body.messages), { timeout: WAIT }).toContain("anew");
    expect(textOf(api.lastRequest?.body.messages)).not.toContain("hello");
    await expect.poll(async () => (await client.session("copy of it").get()).state, { timeout: WAIT }).toBe("idle");

    // Archived, and erased after its name was typed.
    await choose(page, "copy of it", "Archive");
    await hasState(page, "archived");
    await page.getByText("This session is archived. A prompt ends that.").waitFor();
    await choose(page, "copy of it", "Erase all data…");
    await page.getByRole("button", { name: "Erase for good" }).waitFor();
    expect(await page.getByRole("button", { name: "Erase for good" }).isDisabled()).toBe(true);
    await page.getByLabel(/^Type/).fill("copy of i");
    expect(await page.getByRole("button", { name: "Erase for good" }).isDisabled()).toBe(true);
    await page.getByLabel(/^Type/).fill("copy of it");
    await picture(watched, "controls-erase");
    await expectAccessible(page, "the form of an erasure");
    // The report of an erasure is not lost to somebody who leaves too early.
    const erasing = Promise.withResolvers<void>();
    await page.route("**/erase", async (route) => {
      await erasing.promise;
      await route.continue();
    });
    await page.getByRole("button", { name: "Erase for good" }).click();
    await page.getByRole("button", { name: "Erasing…" }).waitFor();
    await page.keyboard.press("Escape");
    await page.keyboard.press("Escape");
    expect(await page.getByRole("button", { name: "Cancel" }).isDisabled()).toBe(true);
    erasing.resolve();
    await page.getByRole("heading", { name: "copy of it is erased" }).waitFor({ timeout: WAIT });
    await page.getByText(/^Removed: 2 turns/).waitFor();
    await page.getByRole("button", { name: "Close" }).click();
    await page.getByRole("heading", { name: "Fleet" }).waitFor({ state: "attached" });
    await expect(client.session("copy of it").get()).rejects.toMatchObject({ code: "SESSION_NOT_FOUND" });
    expect(await page.locator("main img").count()).toBe(0);
    // A server that does not connect, a name that is no label, and a session that is erased.
    expectCalm(watched, 500, 400, 404);
  }, 240_000);

  test("shows what a token may, and a session that is quarantined, ends, or is stored", async () => {
    await using api = await messagesApi(model);
    const token = async (...args: string[]): Promise<string> => {
      const made = await castellan(["token", "create", "--json", ...args], { cwd: api.cwd });
      return (JSON.parse(made.stdout) as { token: string }).token;
    };
    const [all, read, own] = [
      await token("--scope", "read", "talk", "approve", "operate"),
      await token("--scope", "read"),
      await token("--scope", "read", "talk", "--prefix", "assistant"),
    ];
    await using served = await Served.start(api, [
      { name: "assistant", env: { ...api.env, OWN_KEY: "very-secret" } },
      { name: "broken", pathToClaudeCodeExecutable: "/nowhere/claude" },
      { name: "leaving" },
      { template: "support", sessions: { maxTurns: 7 } },
    ]);
    const client = new CastellanClient({ url: served.url, token: all });
    await client.session(["support", 1]).query("hello");
    const login = async (url: string, given: string, dark = false): Promise<WatchedPage> => {
      const watched = await watchedPage(chromium, url, { dark });
      await watched.page.getByLabel("Token").fill(given);
      await watched.page.keyboard.press("Enter");
      await watched.page.locator(".session-title .state").waitFor({ timeout: WAIT });
      return watched;
    };

    // To read only: details, but no prompt, no actions and no buttons.
    const reader = await login(sessionUrl(served, "assistant", "?details="), read, true);
    await reader.page.locator(".options").getByText("OWN_KEY").waitFor({ timeout: WAIT });
    expect(await reader.page.getByLabel("Prompt", { exact: true }).count()).toBe(0);
    expect(await reader.page.getByRole("button", { name: /^Actions for/ }).count()).toBe(0);
    expect(await reader.page.content()).not.toContain("very-secret");
    await picture(reader, "controls-reader-dark");
    await expectAccessible(reader.page, "the details in dark colours");
    expectCalm(reader);

    // Of one session, without operating it: it may be prompted, and its options are not shown.
    const user = await login(sessionUrl(served, "assistant", "?details="), own);
    await user.page.getByText("Your access does not show this.").first().waitFor({ timeout: WAIT });
    await prompt(user.page, "hello");
    await user.page.locator(".item.is-text").getByText("Seen.").waitFor({ timeout: WAIT });
    await picture(user, "controls-user");
    expectCalm(user, 403);

    // Quarantined: it takes no prompts, and its exits are told.
    const broken = await login(sessionUrl(served, "broken", "?details="), all);
    await hasState(broken.page, "quarantined");
    await broken.page.getByText(/is quarantined and takes no prompts/).waitFor({ timeout: WAIT });
    await broken.page.locator(".details-exits li").first().waitFor({ timeout: WAIT });
    await broken.page.getByLabel("Prompt", { exact: true }).fill("hello");
    expect(await broken.page.getByRole("button", { name: "Send", exact: true }).isDisabled()).toBe(true);
    await picture(broken, "controls-quarantined");
    await expectAccessible(broken.page, "a quarantined session");
    expectCalm(broken);

    // It disappears while its page is open: what was read stays, and a prompt that nobody takes stays in the box.
    const leaving = await login(sessionUrl(served, "leaving", "?details="), all);
    await prompt(leaving.page, "hello");
    await leaving.page.locator(".item.is-text").getByText("Seen.").waitFor({ timeout: WAIT });
    await client.session("leaving").stop();
    await leaving.page
      .locator(".prompt-note")
      .getByText(/if a template makes it/)
      .waitFor({ timeout: WAIT });
    await leaving.page.locator(".item.is-text").getByText("Seen.").waitFor();
    await prompt(leaving.page, "are you there?");
    await leaving.page
      .locator(".prompt-problem")
      .getByText(/not accepted/)
      .waitFor({ timeout: WAIT });
    expect(await leaving.page.getByLabel("Prompt", { exact: true }).inputValue()).toBe("are you there?");
    await leaving.page.getByText("no template makes it").waitFor({ timeout: WAIT });
    await picture(leaving, "controls-ended");
    await expectAccessible(leaving.page, "a session that has ended");
    expectCalm(leaving, 404);

    // Stored: a template's session comes back by a prompt.
    await client.session(["support", 1]).stop();
    expect((await client.session(["support", 1]).get()).state).toBe("stored");
    const stored = await login(`${served.url}/dashboard/sessions/${encodeURIComponent('["support",1]')}?details=`, all);
    await stored.page.locator(".options").getByText("maxTurns").waitFor({ timeout: WAIT });
    await picture(stored, "controls-stored");
  }, 240_000);
});

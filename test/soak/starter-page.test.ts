import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { getRequestListener } from "@hono/node-server";
import { Supervisor } from "castellan";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from "vitest";
import { createApp } from "../../packages/create-castellan/templates/chat/src/app.ts";
import { chats } from "../../packages/create-castellan/templates/chat/src/chats.ts";
import { fakeClaude } from "../../src/testing/index.ts";
import { type Browser, browser, type Tab } from "./browser.ts";

/* The page of the starter's chat in Chromium, on a fake Claude. */

const WAIT = { timeout: 30_000, interval: 20 };
const PIECES = 1_000;

let chromium: Browser;
let rest: PromiseWithResolvers<void>;
let supervisor: Supervisor;
let server: Server;
/** Answers everything with 503, as a proxy does while the server restarts. */
let isDown: boolean;
let refused: number;

beforeAll(async () => {
  chromium = await browser();
});

afterAll(() => chromium?.[Symbol.asyncDispose]());

beforeEach(async () => {
  [rest, isDown, refused] = [Promise.withResolvers(), false, 0];
  const fake = fakeClaude(async (turn) => {
    if (turn.prompt === "long") {
      await turn.text("piece\n".repeat(PIECES), { partials: PIECES });
      await rest.promise;
      return await turn.text("piece\n".repeat(PIECES), { partials: PIECES });
    }
    await turn.partial("Once ");
    await rest.promise;
    await turn.partial("upon a time");
    await turn.text("Once upon a time", { partials: false });
  });
  supervisor = await Supervisor.start([chats], {
    journal: "memory",
    defaults: { spawnClaudeCodeProcess: fake.spawn },
  });
  const listener = getRequestListener(createApp().fetch);
  server = createServer((request, response) => {
    if (!isDown) return void listener(request, response);
    refused += 1;
    response.writeHead(503).end();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
});

afterEach(async () => {
  rest.resolve();
  server.closeAllConnections();
  server.close();
  await supervisor.stop();
});

async function opened(): Promise<Tab> {
  const tab = await chromium.tab();
  await tab.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
  const isReady = tab.evaluate.bind(tab, "document.readyState === 'complete' && !!document.querySelector('form')");
  await vi.waitUntil(async () => await isReady().catch(() => false), WAIT);
  return tab;
}

async function send(tab: Tab, text: string): Promise<void> {
  await tab.evaluate(`document.querySelector("input").value = ${JSON.stringify(text)}`);
  await tab.evaluate('document.querySelector("form").requestSubmit()');
}

async function sees(tab: Tab, condition: string): Promise<void> {
  await vi.waitUntil(async () => await tab.evaluate(condition), WAIT);
}

const LINES = 'document.body.innerText.split("piece").length - 1';
const TO_END = "document.documentElement.scrollHeight - innerHeight - scrollY";

test("the starter's chat: keeps the end of a long answer in view, and scrolls at most once a frame", async () => {
  const tab = await opened();
  await tab.evaluate(`(() => {
    globalThis.scrolls = globalThis.frames = 0;
    const count = () => { globalThis.frames += 1; requestAnimationFrame(count); };
    count();
    const counted = (owner, name) => {
      const original = owner[name];
      owner[name] = function (...values) { globalThis.scrolls += 1; return original.apply(this, values); };
    };
    counted(globalThis, "scrollTo");
    counted(Element.prototype, "scrollIntoView");
  })()`);
  rest.resolve();
  await send(tab, "long");
  await sees(tab, `${LINES} === ${2 * PIECES} && ${TO_END} < 5`);
  const [scrolls, frames] = await tab.evaluate<[number, number]>("[scrolls, frames]");
  expect(scrolls).toBeGreaterThan(0);
  expect(scrolls).toBeLessThanOrEqual(frames);
});

test("the starter's chat: leaves a reader who has scrolled up", async () => {
  const tab = await opened();
  await send(tab, "long");
  await sees(tab, `${LINES} === ${PIECES} && ${TO_END} < 5`);
  await tab.evaluate("scrollTo(0, 100)");
  rest.resolve();
  await sees(tab, `${LINES} === ${2 * PIECES}`);
  expect(await tab.evaluate("scrollY")).toBe(100);
});

test("the starter's chat: gets the answer after a proxy has answered with errors", async () => {
  const tab = await opened();
  await send(tab, "story");
  await sees(tab, 'document.body.innerText.includes("Once")');
  isDown = true;
  server.closeAllConnections();
  await vi.waitUntil(() => refused > 1, WAIT);
  isDown = false;
  rest.resolve();
  await sees(tab, 'document.body.innerText.includes("a time")');
  expect(await tab.evaluate('[...document.querySelectorAll("#messages p")].at(-1).textContent')).toBe(
    "Once upon a time",
  );
});

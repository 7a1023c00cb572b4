import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { stripTypeScriptTypes } from "node:module";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { getRequestListener } from "@hono/node-server";
import { Supervisor } from "castellan";
import { Hono } from "hono";
import { expect, onTestFinished, test, vi } from "vitest";
import { createApp } from "../../examples/streaming.ts";
import { ROOT } from "../../scripts/guide.ts";
import { fakeClaude } from "../../src/testing/index.ts";
import { browser } from "./browser.ts";

/* The page of the guide's streaming example in Chromium, on a fake Claude. */

const WAIT = { timeout: 30_000, interval: 20 };

const page = `<!doctype html><pre id="output"></pre><script type="module">
  import { ask } from "/page.js";
  globalThis.ask = (prompt) => ask(prompt, document.getElementById("output"));
</script>`;

test("streaming-page.ts: shows an answer while it is written, and once only after a proxy has answered with errors", async () => {
  const rest = Promise.withResolvers<void>();
  const fake = fakeClaude(async (turn) => {
    await turn.partial("Once ");
    await rest.promise;
    await turn.partial("upon a time");
  });
  await using _supervisor = await Supervisor.start([{ name: "assistant" }], {
    journal: "memory",
    defaults: { spawnClaudeCodeProcess: fake.spawn },
  });
  const script = stripTypeScriptTypes(await readFile(join(ROOT, "examples/web/streaming-page.ts"), "utf8"));
  const app = new Hono()
    .get("/", (c) => c.html(page))
    .get("/page.js", (c) => c.body(script, 200, { "content-type": "text/javascript" }))
    .route("/", createApp());
  const listener = getRequestListener(app.fetch);
  let isDown = false;
  let refused = 0;
  const server = createServer((request, response) => {
    if (!isDown) return void listener(request, response);
    refused += 1;
    response.writeHead(503).end();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  await using chromium = await browser();
  const tab = await chromium.tab();
  await tab.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
  await vi.waitUntil(async () => await tab.evaluate("typeof ask === 'function'"), WAIT);
  await tab.evaluate('ask("Tell me a story")');
  const shows = async (text: string): Promise<void> => {
    await vi.waitUntil(async () => (await tab.evaluate("output.textContent")) === text, WAIT);
  };
  await shows("Once ");
  isDown = true;
  server.closeAllConnections();
  await vi.waitUntil(() => refused > 1, WAIT);
  isDown = false;
  rest.resolve();
  await shows("Once upon a time");
  expect(fake.errors).toEqual([]);
});

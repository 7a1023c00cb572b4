import { readFile } from "node:fs/promises";
import { serve } from "@hono/node-server";
import { createApp, startChats } from "../../examples/web/chat/server.ts";

/* The application of `examples/web/chat`, with its page, in a process of its own, for tests that kill it. */

const [journal = "", page = "", port = "0"] = process.argv.slice(2);
const supervisor = await startChats({ journal: { sqlite: journal, waitForOwner: "20s" } });
supervisor.stopOnSignals();
const app = createApp();
app.get("/page.js", async (c) => c.body(await readFile(page), 200, { "content-type": "text/javascript" }));
app.get("/", (c) => c.html('<!doctype html><div id="root"></div><script type="module" src="/page.js"></script>'));
serve({ fetch: app.fetch, hostname: "127.0.0.1", port: Number(port) }, (address) => {
  process.stdout.write(`${JSON.stringify({ port: address.port })}\n`);
});

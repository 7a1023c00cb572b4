import { once } from "node:events";
import { createServer } from "node:http";
import { getRequestListener } from "@hono/node-server";
import { Hono } from "hono";
import { createApp } from "./app.ts";
import { startChats } from "./chats.ts";
import { startModel } from "./model.ts";
import { watching } from "./watching.ts";

const model = await startModel();
const supervisor = await startChats({ defaults: model.defaults });

const app = new Hono().route("/", watching(supervisor, ".castellan/tokens.jsonl")).route("/", createApp());
const server = createServer(getRequestListener(app.fetch));
// Two releases may listen on the port at the same time.
server.listen({ port: Number(process.env["PORT"] ?? 8080), host: "127.0.0.1", reusePort: true }, () => {
  console.log(`http://127.0.0.1:${process.env["PORT"] ?? 8080}/ada`);
});

// SIGTERM: turns finish, for at most 25 seconds. Then the process ends.
supervisor.stopOnSignals({ deadline: "25s" });

// The next release has taken over: this one takes no more connections, and ends once its callers have their answers.
void supervisor.handedOver.then(async () => {
  server.close();
  setTimeout(() => server.closeAllConnections(), 25_000).unref();
  await once(server, "close");
  await supervisor.drain({ deadline: "25s" });
  await model[Symbol.asyncDispose]();
});

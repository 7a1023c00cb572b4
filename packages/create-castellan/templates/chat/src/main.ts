import { serve } from "@hono/node-server";
import { Supervisor } from "castellan";
import { createApp } from "./app.ts";
import { chats } from "./chats.ts";
import { findModel } from "./model.ts";

const model = await findModel();
// Names and conversations are in .castellan/, so they survive a restart.
const supervisor = await Supervisor.start([chats], {
  name: "chat",
  defaults: model.defaults,
  capacity: { maxProcesses: 8 },
});
const { HOST: hostname = "127.0.0.1", PORT: port = "3000" } = process.env;
const server = serve({ fetch: createApp().fetch, hostname, port: Number(port) }, (address) => {
  console.log(`http://${hostname}:${address.port}`);
  console.log(`Answers come from ${model.description}.`);
});
// At Ctrl-C and SIGTERM, running turns finish, for 25 seconds at the most.
supervisor.stopOnSignals({ deadline: "25s" });
await supervisor.closed;
server.close();
await model[Symbol.asyncDispose]();

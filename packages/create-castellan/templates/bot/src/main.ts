import { serve } from "@hono/node-server";
import { Supervisor } from "castellan";
import { createApp } from "./app.ts";
import { chats } from "./bot.ts";
import { findModel } from "./model.ts";

const model = await findModel();
// Names and conversations are in .castellan/, so they survive a restart.
const supervisor = await Supervisor.start([chats], {
  name: "bot",
  defaults: model.defaults,
  capacity: { maxProcesses: 8 },
});
const { HOST: hostname = "127.0.0.1", PORT: port = "3000", BOT_SECRET: secret } = process.env;
if (secret === undefined && hostname !== "127.0.0.1") throw new Error("Set BOT_SECRET: others can reach the bot.");
const server = serve({ fetch: createApp(secret).fetch, hostname, port: Number(port) }, (address) => {
  console.log(`http://${hostname}:${address.port}/messages`);
  console.log(`Answers come from ${model.description}. Talk to it with \`npm run talk\`.`);
});
// At Ctrl-C and SIGTERM, running turns finish, for 25 seconds at the most.
supervisor.stopOnSignals({ deadline: "25s" });
await supervisor.closed;
server.close();
await model[Symbol.asyncDispose]();

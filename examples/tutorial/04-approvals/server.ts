import { serve } from "@hono/node-server";
import { createApp } from "./app.ts";
import { startChats } from "./chats.ts";
import { startModel } from "./model.ts";

const model = await startModel();
await startChats({ defaults: model.defaults });

serve({ fetch: createApp().fetch, port: Number(process.env["PORT"] ?? 8080), hostname: "127.0.0.1" }, ({ port }) => {
  console.log(`http://127.0.0.1:${port}/ada`);
});

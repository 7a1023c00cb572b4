import { query } from "castellan";
import { startChats } from "./chats.ts";
import { startModel } from "./model.ts";

const [user = "guest", prompt = "Hello"] = process.argv.slice(2);
await using model = await startModel();
await using _supervisor = await startChats({ defaults: model.defaults });

const { text } = await query(["chat", user], prompt);
console.log(text);

import { randomUUID } from "node:crypto";
import { createInterface } from "node:readline/promises";

/* A messenger for one person: sends each line to the bot that runs, and prints its answer. */

const { BOT_URL: url = "http://127.0.0.1:3000", BOT_SECRET: secret, CHAT: chat = "terminal" } = process.env;
const headers = { "content-type": "application/json", ...(secret && { authorization: `Bearer ${secret}` }) };

const lines = createInterface({ input: process.stdin, output: process.stdout, prompt: "> " });
lines.prompt();
for await (const text of lines) {
  if (text !== "") console.log(await send(text));
  lines.prompt();
}

async function send(text: string): Promise<string> {
  try {
    const body = JSON.stringify({ id: randomUUID(), chat, text });
    const response = await fetch(new URL("/messages", url), { method: "POST", headers, body });
    if (response.status === 401) return "The bot has another BOT_SECRET.";
    const answer = (await response.json()) as { readonly text?: string; readonly message?: string };
    return answer.text ?? `The bot has failed: ${answer.message}`;
  } catch {
    return `No bot answers at ${url}. Start it with \`npm start\`.`;
  }
}

import { query, template } from "castellan";

/** A conversation for each chat of the messenger: `["bot", chat]`. It starts with the first message, and sleeps when idle. */
export const chats = template("bot", {
  systemPrompt: "You are a helpful bot in a messenger. Answer in one or two sentences.",
  // No tools: Claude only talks. With tools, give each session a directory of its own: `isolate: true`.
  tools: [],
  idleTimeout: "10m",
  mailboxLimit: 5,
});

/** A message of a messenger. */
export interface Message {
  /** The messenger's own id of the message. Messengers deliver a message again if they get no answer; it is answered once. */
  readonly id: string;
  readonly chat: string;
  readonly text: string;
}

/** Returns the bot's answer. @throws CastellanError */
export async function answer({ id, chat, text }: Message): Promise<string> {
  const reply = await query(["bot", chat], text, { idempotencyKey: id, timeout: "2m" });
  return reply.text;
}

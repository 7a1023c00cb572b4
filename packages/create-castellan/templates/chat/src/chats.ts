import { template } from "castellan";

/** A conversation for each visitor: `["chat", visitor]`. It starts with the first message, and sleeps when idle. */
export const chats = template("chat", {
  systemPrompt: "You are a friendly assistant. Answer briefly.",
  // No tools: Claude only talks. With tools, give each session a directory of its own: `isolate: true`.
  tools: [],
  idleTimeout: "10m",
  timeout: "5m",
});

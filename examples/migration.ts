import { query as claude, type Options } from "@anthropic-ai/claude-agent-sdk";
import { once, query, Supervisor, type SupervisorOptions, template } from "castellan";

// #region before
const options: Options = { systemPrompt: "You help customers", allowedTools: ["Read"], maxTurns: 5 };

export async function before(prompt: string, more: Options = {}): Promise<string> {
  for await (const message of claude({ prompt, options: { ...options, ...more } })) {
    if (message.type === "result" && message.subtype === "success") return message.result;
  }
  throw new Error("no answer");
}
// #endregion

// #region first
export async function first(prompt: string, more: Options = {}): Promise<string> {
  const { text } = await once(prompt, { ...options, ...more, timeout: "2m" });
  return text;
}
// #endregion

// #region second
export async function start(more: SupervisorOptions = {}): Promise<Supervisor> {
  return await Supervisor.start([{ name: "support", ...options, timeout: "2m" }], more);
}

export async function second(prompt: string): Promise<string> {
  const { text } = await query("support", prompt);
  return text;
}
// #endregion

// #region third
export async function startForAll(more: SupervisorOptions = {}): Promise<Supervisor> {
  return await Supervisor.start([template("customer", { ...options, timeout: "2m", idleTimeout: "10m" })], {
    ...more,
    capacity: { maxProcesses: 16 },
  });
}

export async function third(customer: number, prompt: string, messageId: string): Promise<string> {
  const { text } = await query(["customer", customer], prompt, { idempotencyKey: messageId });
  return text;
}
// #endregion

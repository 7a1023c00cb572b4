import Anthropic from "@anthropic-ai/sdk";
import { type TemplateOptions, template } from "castellan";
import { clientTools } from "castellan/server";

// #region client
/** Asks in a new session, and yields the answer's texts. `baseURL` is that of the server, with /anthropic at its end. */
export async function* ask(baseURL: string, token: string, text: string): AsyncGenerator<string> {
  const client = new Anthropic({ baseURL, apiKey: token });

  const session = await client.beta.sessions.create({
    agent: "support",
    environment_id: "env_local",
    title: "Invoices",
  });
  const stream = await client.beta.sessions.events.stream(session.id, { event_deltas: ["agent.message"] });
  await client.beta.sessions.events.send(session.id, {
    events: [{ type: "user.message", content: [{ type: "text", text }] }],
  });
  for await (const event of stream) {
    if (event.type === "agent.message") for (const block of event.content) if (block.type === "text") yield block.text;
    if (event.type === "session.status_idle") break;
  }
}
// #endregion

// #region tools
export const support: TemplateOptions = template("support", (id: string) => ({
  approvals: true,
  mcpServers: { client: clientTools(["support", id]) },
}));
// #endregion

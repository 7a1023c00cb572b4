import { Anthropic } from "@anthropic-ai/sdk";
import type { Supervisor } from "../index.ts";
import { listen } from "../server/index.ts";

/* The part of the demo that talks to a server. The package does not contain the demo, so it may use a development dependency. */

/** The deltas after which the demo kills Claude Code. */
const DELTAS_BEFORE_KILL = 8;

/** How long the client may wait for the end of the turn, in milliseconds. */
const PATIENCE_MS = 60_000;

/** A line of the demo, or a part of a streamed text. */
export interface DemoOutput {
  line(text: string): void;
  part(text: string): void;
}

/**
 * Serves the supervisor, and follows a turn of `session` with Anthropic's own client. Kills the process of the session in the middle of the
 * answer.
 *
 * @throws Error if the answer does not continue in the same stream, or the record has the prompt twice
 */
export async function serverDemo(
  supervisor: Supervisor,
  session: string,
  prompt: string,
  output: DemoOutput,
): Promise<void> {
  await using server = await listen(supervisor, { tokens: false });
  output.line(`server: ${server.url}`);
  const client = new Anthropic({ baseURL: `${server.url}/anthropic`, apiKey: "unused" });
  const id = await idOf(client, session);
  output.line(`client: @anthropic-ai/sdk, client.beta.sessions.events.stream("${id}")`);

  const signal = AbortSignal.timeout(PATIENCE_MS);
  const stream = await client.beta.sessions.events.stream(id, { event_deltas: ["agent.message"] }, { signal });
  await client.beta.sessions.events.send(id, {
    events: [{ type: "user.message", content: [{ type: "text", text: prompt }] }],
  });
  output.line(`you: ${prompt}`);
  const before = supervisor.session(session).status();
  if (before.pid === undefined) throw new Error(`${session} has no process`);
  let deltas = 0;
  let [restarted, answered] = [false, false];
  for await (const event of stream) {
    if (event.type === "event_delta" && "content" in event.delta && event.delta.content.type === "text") {
      output.part(event.delta.content.text);
      deltas += 1;
      if (deltas !== DELTAS_BEFORE_KILL) continue;
      process.kill(before.pid, "SIGKILL");
      output.line(` …\nkill -9 ${before.pid}`);
    }
    if (event.type === "session.status_rescheduled") {
      output.line("the stream says: session.status_rescheduled, so the answer starts over");
      restarted = true;
    }
    if (event.type === "agent.message") answered = restarted;
    if (event.type === "session.status_idle") break;
  }
  output.line("");
  const { pid, restarts } = supervisor.session(session).status();
  if (!answered || restarts !== before.restarts + 1) {
    throw new Error("the answer did not continue after the kill");
  }
  const asked = await Array.fromAsync(client.beta.sessions.events.list(id, { types: ["user.message"] }));
  const same = asked.filter((event) => JSON.stringify(event).includes(prompt));
  if (same.length !== 1) throw new Error(`the prompt is in the record ${same.length} times`);
  output.line(`the stream stayed open, the record has the prompt once; process ${pid} answered`);
}

/** Returns the id of the session that the application has started under this name. */
async function idOf(client: Anthropic, name: string): Promise<string> {
  for await (const { id, agent } of client.beta.sessions.list()) if (agent.name === name) return id;
  throw new Error(`the server has no session of ${name}`);
}

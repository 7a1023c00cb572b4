import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as pause } from "node:timers/promises";
import { Anthropic } from "@anthropic-ai/sdk";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { type MessagesApi, messagesApi } from "../../src/testing/index.ts";
import { freePort } from "../free-port.ts";
import { commandOf, processesWith } from "../real/processes.ts";

/* Anthropic's own client, a server in a process of its own, and the real Claude Code; both are killed. */

type SessionEvent = Anthropic.Beta.Sessions.BetaManagedAgentsSessionEvent;

const HOST = join(import.meta.dirname, "server-anthropic-host.ts");

let api: MessagesApi;
let folder: string;
let port: number;
let host: ChildProcess | undefined;
let client: Anthropic;

beforeEach(async () => {
  api = await messagesApi();
  folder = await mkdtemp(join(tmpdir(), "castellan-server-"));
  port = await freePort();
  client = new Anthropic({ apiKey: "x", baseURL: `http://127.0.0.1:${port}/anthropic`, maxRetries: 8 });
  await startHost();
});

afterEach(async () => {
  host?.kill("SIGTERM");
  if (host !== undefined && host.exitCode === null && host.signalCode === null) await once(host, "exit");
  await api.stop();
  await rm(folder, { recursive: true });
  expect(claudes()).toEqual([]);
});

async function startHost(): Promise<void> {
  const args = [JSON.stringify(api.env), api.cwd, join(folder, "castellan.db"), String(port)];
  host = spawn(process.execPath, [HOST, ...args], { stdio: ["ignore", "pipe", "inherit"] });
  for await (const _ of createInterface({ input: host.stdout ?? process.stdin })) return;
  throw new Error("the host did not start");
}

async function killHost(): Promise<void> {
  if (host === undefined) return;
  host.kill("SIGKILL");
  await once(host, "exit");
}

/** The pids of the Claude Code processes. */
function claudes(): number[] {
  return processesWith(api.url).filter(
    (pid) => pid !== host?.pid && /claude/.test(commandOf(pid)) && !/castellan/.test(commandOf(pid)),
  );
}

const isOver = (event: { readonly type: string }): boolean =>
  event.type === "session.status_idle" &&
  "stop_reason" in event &&
  (event.stop_reason as { type: string }).type !== "requires_action";

/** Follows a session as the documentation advises: opens the stream, lists, drops doubles, and connects again. */
async function follow(
  id: string,
  act: (event: SessionEvent) => Promise<void> = async () => {},
  known: Map<string, SessionEvent> = new Map(),
): Promise<SessionEvent[]> {
  const before = known.size;
  const take = async (event: SessionEvent): Promise<boolean> => {
    const isNew = !known.has(event.id);
    known.set(event.id, event);
    if (isNew) await act(event);
    return isNew && isOver(event);
  };
  for (;;) {
    try {
      const stream = await client.beta.sessions.events.stream(id);
      let ended = false;
      for await (const event of client.beta.sessions.events.list(id)) ended = (await take(event)) || ended;
      if (ended) break;
      let over = false;
      for await (const event of stream) {
        if (event.type === "event_start" || event.type === "event_delta") continue;
        over = await take(event);
        if (over) break;
      }
      if (over) break;
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      if (error instanceof Anthropic.APIError && error.status !== undefined && error.status < 500) throw error;
    }
    await pause(100);
  }
  return [...known.values()].slice(before);
}

const said = (text: string): Anthropic.Beta.Sessions.BetaManagedAgentsUserMessageEventParams => ({
  type: "user.message",
  content: [{ type: "text", text }],
});

test("a kill of Claude Code in the middle of a turn: the turn runs again, and the prompt is in the conversation once", async () => {
  api.model = () => ({ text: "The answer", ...(api.requests.length === 1 && { delayMs: 10_000 }) });
  const { id } = await client.beta.sessions.create({ agent: "support", environment_id: "env_local" });
  await client.beta.sessions.events.send(id, { events: [said("The question")] });
  await api.requested(1);
  for (const pid of claudes()) process.kill(pid, "SIGKILL");
  const events = await follow(id);
  expect(events.map(({ type }) => type)).toEqual(
    expect.arrayContaining(["session.status_rescheduled", "agent.message", "session.status_idle"]),
  );
  expect(events.filter(({ type }) => type === "user.message")).toHaveLength(1);
  const last = api.lastRequest?.texts.filter(({ text }) => text === "The question") ?? [];
  expect(last).toHaveLength(1);
});

test("a kill of the application in the middle of a turn: clients go on, and every event is there once", async () => {
  api.model = () => ({ text: "The answer", ...(api.requests.length === 1 && { delayMs: 10_000 }) });
  const { id } = await client.beta.sessions.create({ agent: "support", environment_id: "env_local", title: "Kept" });
  const sent = await client.beta.sessions.events.send(id, { events: [said("The question")] });
  const followed = follow(id);
  await api.requested(1);
  await killHost();
  await startHost();
  const events = await followed;
  expect(events.filter(({ type }) => type === "user.message").map((event) => event.id)).toEqual([sent.data?.[0]?.id]);
  expect(events).toContainEqual(
    expect.objectContaining({ type: "agent.message", content: [{ type: "text", text: "The answer" }] }),
  );
  const listed = await Array.fromAsync(client.beta.sessions.events.list(id));
  expect(new Set(listed.map((event) => event.id)).size).toBe(listed.length);
  expect((await client.beta.sessions.retrieve(id)).title).toBe("Kept");
});

test("a message whose answer is lost with the application: begins one turn", async () => {
  const { id } = await client.beta.sessions.create({ agent: "support", environment_id: "env_local" });
  const sending = client.beta.sessions.events.send(id, { events: [said("Once")] });
  await Promise.race([sending, api.requested(1)]);
  await killHost();
  await startHost();
  await sending;
  await follow(id);
  const listed = await Array.fromAsync(client.beta.sessions.events.list(id, { types: ["user.message"] }));
  expect(listed).toHaveLength(1);
});

test("confirmations and custom tools: are answered one by one, and a kill while they wait ends the turn", async () => {
  const tools = [
    { name: "Bash", input: { command: "echo one > one.txt", description: "one" } },
    { name: "Bash", input: { command: "echo two > two.txt", description: "two" } },
    { name: "mcp__client__get_weather", input: { city: "Bonn" } },
  ];
  api.model = (request) => {
    const isAnswered = JSON.stringify(request.body.messages.at(-1)).includes("tool_result");
    return isAnswered ? { text: "Done" } : { toolUses: tools };
  };
  const { id } = await client.beta.sessions.create({
    agent: {
      type: "agent_with_overrides",
      id: "support",
      tools: [{ type: "custom", name: "get_weather", description: "Weather", input_schema: { type: "object" } }],
    },
    environment_id: "env_local",
  });
  const answer = async (event: SessionEvent): Promise<void> => {
    if (event.type === "agent.tool_use") {
      expect(event.evaluated_permission).toBe("ask");
    }
    if (event.type !== "session.status_idle" || event.stop_reason.type !== "requires_action") return;
    for (const waiting of event.stop_reason.event_ids) await give(waiting);
  };
  const known = new Map<string, SessionEvent>();
  const give = async (waiting: string): Promise<void> => {
    const call = known.get(waiting);
    if (call === undefined) throw new Error(`${waiting} was not sent before it waits`);
    const confirmation = { type: "user.tool_confirmation", tool_use_id: waiting, result: "allow" } as const;
    const content = [{ type: "text" as const, text: "sunny" }];
    const result = { type: "user.custom_tool_result", custom_tool_use_id: waiting, content } as const;
    const event = call.type === "agent.custom_tool_use" ? result : confirmation;
    await client.beta.sessions.events.send(id, { events: [event] });
  };
  await client.beta.sessions.events.send(id, { events: [said("Use them")] });
  const events = await follow(id, answer, known);
  expect(events.filter(({ type }) => type === "user.tool_confirmation")).toHaveLength(2);
  expect(events.filter(({ type }) => type === "user.custom_tool_result")).toHaveLength(1);
  expect(events.at(-1)).toMatchObject({ type: "session.status_idle", stop_reason: { type: "end_turn" } });
  expect(JSON.stringify(api.lastRequest?.body.messages)).toContain("sunny");
  let killed = false;
  await client.beta.sessions.events.send(id, { events: [said("Again")] });
  const cut = await follow(
    id,
    async (event) => {
      if (killed || event.type !== "session.status_idle" || event.stop_reason.type !== "requires_action") return;
      killed = true;
      await killHost();
      await startHost();
    },
    known,
  );
  expect(cut.at(-1)).toMatchObject({ type: "session.status_idle", stop_reason: { type: "retries_exhausted" } });
  expect(cut).toContainEqual(expect.objectContaining({ type: "session.error" }));
  const waiting = cut.find(({ type }) => type === "agent.tool_use")?.id ?? "";
  const late = client.beta.sessions.events.send(id, {
    events: [{ type: "user.tool_confirmation", tool_use_id: waiting, result: "allow" }],
  });
  await expect(late).rejects.toMatchObject({ status: 400 });
});

function timeOf(event: SessionEvent | undefined): number {
  return event !== undefined && "processed_at" in event ? Date.parse(event.processed_at ?? "") : Number.NaN;
}

test("a subagent of Claude Code is a thread with its own events", async () => {
  const task = "Count the apples.";
  api.model = ({ texts, body }) => {
    if (JSON.stringify(body).includes("tool_result")) return { text: "There are three." };
    if (texts.some(({ role, text }) => role === "user" && text.includes(task))) return { text: "I count three." };
    return {
      toolUses: [{ name: "Agent", input: { description: "count", prompt: task, subagent_type: "general-purpose" } }],
    };
  };
  const { id } = await client.beta.sessions.create({ agent: "support", environment_id: "env_local" });
  await client.beta.sessions.events.send(id, { events: [said("How many?")] });
  const events = await follow(id, async (event) => {
    if (event.type !== "agent.tool_use" || event.evaluated_permission !== "ask") return;
    const allowed = { type: "user.tool_confirmation", tool_use_id: event.id, result: "allow" } as const;
    await client.beta.sessions.events.send(id, { events: [allowed] });
  });
  const threads = await Array.fromAsync(client.beta.sessions.threads.list(id));
  expect(threads).toMatchObject([
    { parent_thread_id: null },
    { parent_thread_id: threads[0]?.id, agent: { type: "inline", name: "general-purpose" } },
  ]);
  const thread = threads[1]?.id ?? "";
  expect(events).toContainEqual(expect.objectContaining({ type: "session.thread_created", session_thread_id: thread }));
  // The subagent works in the background, and may be done after the first turn.
  const ofThread = () => Array.fromAsync(client.beta.sessions.threads.events.list(thread, { session_id: id }));
  await vi.waitUntil(async () => (await ofThread()).length > 0, { timeout: 30_000 });
  expect(await ofThread()).toMatchObject([
    { type: "agent.message", content: [{ type: "text", text: "I count three." }] },
  ]);
  await vi.waitUntil(async () => (await Array.fromAsync(client.beta.sessions.threads.list(id)))[1]?.status === "idle", {
    timeout: 30_000,
  });
  const all = await Array.fromAsync(client.beta.sessions.events.list(id));
  const ofIt = all.filter((event) => "session_thread_id" in event && event.session_thread_id === thread);
  expect(ofIt.map(({ type }) => type)).toEqual([
    "session.thread_created",
    "session.thread_status_running",
    "session.thread_status_idle",
  ]);
  // It is idle once it has spoken, not once it has been started.
  const [spoken] = await ofThread();
  expect(timeOf(ofIt.at(-1))).toBeGreaterThanOrEqual(timeOf(spoken));
  const onStream = events.filter(({ type }) => type === "agent.message");
  expect(onStream[0]).toMatchObject({ content: [{ type: "text", text: "There are three." }] });
  expect(api.errors).toEqual([]);
});

test("a session's budget: what Claude Code spent ends it, and a raised budget goes on", async () => {
  // At any price of a model, a million tokens cost more than a cent.
  api.model = () => ({ text: "dear", usage: { output_tokens: 1_000_000 } });
  const budget = (amount: string) => ({ type: "limit", max_list_cost: { amount, currency: "USD" } }) as const;
  const { id } = await client.beta.sessions.create({
    agent: "support",
    environment_id: "env_local",
    budget: budget("1"),
  });
  await client.beta.sessions.events.send(id, { events: [said("one")] });
  await follow(id);
  const refused = client.beta.sessions.events.send(id, { events: [said("two")] });
  await expect(refused).rejects.toMatchObject({ status: 402 });
  expect(api.requests.some(({ texts }) => texts.some(({ text }) => text === "two"))).toBe(false);
  await client.beta.sessions.update(id, { budget: budget("100000") });
  await client.beta.sessions.events.send(id, { events: [said("two")] });
  await vi.waitUntil(() => api.lastRequest?.texts.some(({ text }) => text === "two"), { timeout: 30_000 });
});

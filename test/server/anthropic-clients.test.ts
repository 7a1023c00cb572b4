import { ManagedAgentsAgent } from "@ag-ui/claude-managed-agents";
import type { BaseEvent, RunAgentInput } from "@ag-ui/client";
import { expect, test } from "vitest";
import { template } from "../../src/application/options/template.ts";
import { clientTools } from "../../src/server/index.ts";
import { type FakeScript, inOrder, streams, thinks } from "../../src/testing/index.ts";
import { unique } from "../session-on-fake/scene.ts";
import { AnthropicScene, message, untilIdle } from "./anthropic-scene.ts";

const WEATHER = {
  name: "get_weather",
  description: "Get the weather",
  input_schema: { type: "object", properties: { city: { type: "string" } } },
} as const;

/** Calls the tool `get_weather` of the client, as Claude Code does, and says the result. */
const asksForWeather: FakeScript = async (turn) => {
  const decision = turn.toolUse("mcp__client__get_weather", { city: "Bonn" }, { ask: true });
  await decision;
  await turn.text("It is known now");
};

/** A template whose sessions take custom tools. */
function withTools(agent: string): ReturnType<typeof template> {
  return template(agent, (id: string) => ({
    approvals: true,
    permissionMode: "default",
    mcpServers: { client: clientTools([agent, id]) },
  }));
}

/** Runs an AG-UI agent on a text, and returns its events. */
async function runAgent(agent: ManagedAgentsAgent, input: Partial<RunAgentInput>): Promise<BaseEvent[]> {
  const events: BaseEvent[] = [];
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const all = {
    threadId: "t1",
    runId: "r1",
    state: undefined,
    messages: [],
    tools: [],
    context: [],
    forwardedProps: {},
  };
  agent.run({ ...all, ...input }).subscribe({ next: (event) => events.push(event), error: reject, complete: resolve });
  await promise;
  return events;
}

test("@ag-ui/claude-managed-agents: shows a turn with thinking, deltas and tools", async () => {
  const name = unique("support");
  await using scene = await AnthropicScene.start([template(name, { approvals: true, permissionMode: "default" })], {
    script: inOrder(thinks("hm"), streams(["Hel", "lo"]), async (turn) => {
      await turn.toolUse("Bash", { command: "ls" }, { ask: true, result: "a b" });
      await turn.text("Done");
    }),
  });
  const options = { managedAgentId: name, environmentId: "env_local", client: scene.client };
  const agent = new ManagedAgentsAgent({ ...options, toolConfirmation: "allow" });
  const events = await runAgent(agent, { messages: [{ id: "m1", role: "user", content: "hi" }] });
  expect(events.map(({ type }) => type)).toEqual([
    "RUN_STARTED",
    "CUSTOM",
    "REASONING_START",
    "REASONING_MESSAGE_START",
    "REASONING_MESSAGE_END",
    "REASONING_END",
    "TEXT_MESSAGE_START",
    "TEXT_MESSAGE_CONTENT",
    "TEXT_MESSAGE_CONTENT",
    "TEXT_MESSAGE_END",
    "TOOL_CALL_START",
    "TOOL_CALL_ARGS",
    "TOOL_CALL_END",
    "TOOL_CALL_RESULT",
    "TEXT_MESSAGE_START",
    "TEXT_MESSAGE_CONTENT",
    "TEXT_MESSAGE_END",
    "RUN_FINISHED",
  ]);
});

test("@ag-ui/claude-managed-agents: runs a backend tool, and a tool of the page over two runs", async () => {
  const name = unique("support");
  await using scene = await AnthropicScene.start([withTools(name)], { script: asksForWeather });
  const options = { managedAgentId: name, environmentId: "env_local", client: scene.client };
  const parameters = WEATHER.input_schema;
  const backend = new ManagedAgentsAgent({
    ...options,
    backendTools: [{ name: WEATHER.name, description: WEATHER.description, parameters, handler: async () => "sunny" }],
  });
  const events = await runAgent(backend, { messages: [{ id: "m1", role: "user", content: "weather?" }] });
  expect(events).toContainEqual(expect.objectContaining({ type: "TOOL_CALL_RESULT", content: "sunny" }));
  expect(events.at(-1)?.type).toBe("RUN_FINISHED");
  const page = new ManagedAgentsAgent(options);
  const tools = [{ name: WEATHER.name, description: WEATHER.description, parameters }];
  const asked = { id: "m1", role: "user", content: "weather?" } as const;
  const first = await runAgent(page, { threadId: "t2", messages: [asked], tools });
  expect(first.at(-1)?.type).toBe("RUN_FINISHED");
  const call = first.find(({ type }) => type === "TOOL_CALL_START");
  const toolCallId = String(call?.["toolCallId"]);
  const answer = { id: "m2", role: "tool", toolCallId, content: "rain" } as const;
  const second = await runAgent(page, { threadId: "t2", messages: [asked, answer], tools });
  expect(second.map(({ type }) => type)).toEqual([
    "RUN_STARTED",
    "TEXT_MESSAGE_START",
    "TEXT_MESSAGE_CONTENT",
    "TEXT_MESSAGE_END",
    "RUN_FINISHED",
  ]);
});

test("custom tools: wait for the client's result, survive a restart as another call, and refuse a confirmation", async () => {
  const agent = unique("support");
  await using scene = await AnthropicScene.start([withTools(agent)], { script: asksForWeather });
  const tools = [{ type: "custom", ...WEATHER }] as const;
  const { id, agent: shown } = await scene.sessions.create({
    agent: { type: "agent_with_overrides", id: agent, tools: [...tools] },
    environment_id: "env_local",
  });
  expect(shown.tools.at(-1)).toEqual(tools[0]);
  const stream = await scene.sessions.events.stream(id);
  await scene.sessions.events.send(id, { events: [message("weather?")] });
  let called = "";
  for await (const event of stream) {
    if (event.type === "agent.custom_tool_use") called = event.id;
    if (event.type === "session.status_idle") break;
  }
  const confirm = { type: "user.tool_confirmation", tool_use_id: called, result: "allow" } as const;
  await expect(scene.sessions.events.send(id, { events: [confirm] })).rejects.toMatchObject({ status: 400 });
  const result = {
    type: "user.custom_tool_result",
    custom_tool_use_id: called,
    content: [{ type: "text", text: "sunny" }],
  } as const;
  const again = await scene.sessions.events.stream(id);
  const sent = await scene.sessions.events.send(id, { events: [{ ...result, content: [...result.content] }] });
  const events = await untilIdle(again);
  expect(events[0]).toMatchObject({ ...result, id: sent.data?.[0]?.id, is_error: false });
  expect(events.map(({ type }) => type)).not.toContain("agent.mcp_tool_result");
  await expect(
    scene.sessions.events.send(id, { events: [{ ...result, content: [...result.content] }] }),
  ).rejects.toMatchObject({
    status: 400,
  });
  await scene.restart();
  expect((await scene.sessions.retrieve(id)).agent.tools.at(-1)).toEqual(tools[0]);
  const none = await scene.sessions.update(id, { agent: { tools: [] } });
  expect(none.agent.tools.filter(({ type }) => type === "custom")).toEqual([]);
});

test("clientTools(): lists the tools of the session, and returns the client's result to Claude", async () => {
  const agent = unique("support");
  const results: unknown[] = [];
  await using scene = await AnthropicScene.start([withTools(agent)], {
    script: async (turn) => {
      const content = [
        { type: "text", text: "sunny" },
        { type: "image", source: { type: "base64", media_type: "image/png", data: "AAAA" } },
        { type: "search_result", source: "s", title: "t", content: [] },
      ];
      results.push(await turn.callTool("client", "get_weather", { "castellan:result": { content, is_error: false } }));
      results.push(await turn.callTool("client", "get_weather", { city: "Bonn" }));
      await turn.text("ok");
    },
  });
  const { id } = await scene.create(agent, {
    agent: { type: "agent_with_overrides", id: agent, tools: [{ type: "custom", ...WEATHER }] },
  });
  const stream = await scene.sessions.events.stream(id);
  await scene.sessions.events.send(id, { events: [message("go")] });
  await untilIdle(stream);
  expect(results).toMatchObject([
    {
      content: [
        { type: "text", text: "sunny" },
        { type: "image", data: "AAAA", mimeType: "image/png" },
        { type: "text", text: expect.stringContaining("search_result") },
      ],
    },
    { isError: true },
  ]);
});

test("client.beta.sessions.events.toolRunner: answers custom tools", async () => {
  const agent = unique("support");
  await using scene = await AnthropicScene.start([withTools(agent)], { script: asksForWeather });
  const { id } = await scene.create(agent, {
    agent: { type: "agent_with_overrides", id: agent, tools: [{ type: "custom", ...WEATHER }] },
    initial_events: [message("weather?")],
  });
  const run = async (): Promise<string> => "sunny";
  const tool = { ...WEATHER, type: "custom", run, parse: (input: unknown) => input } as const;
  for await (const call of scene.sessions.events.toolRunner(id, { tools: [tool], maxIdleMs: 1_000 })) {
    expect(call).toMatchObject({ name: "get_weather", posted: true, isError: false });
    break;
  }
  const [answer] = await Array.fromAsync(scene.sessions.events.list(id, { types: ["user.custom_tool_result"] }));
  expect(answer).toMatchObject({ content: [{ type: "text", text: "sunny" }] });
});

test("threads: a subagent has its own events, and asks on the session's stream", async () => {
  const agent = unique("support");
  await using scene = await AnthropicScene.start([template(agent, { approvals: true, permissionMode: "default" })], {
    script: async (turn) => {
      const parent = "toolu_agent";
      const say = async (content: readonly object[]): Promise<void> => {
        const own = { role: "assistant", model: "m", id: `msg_${content.length}`, type: "message", content, usage: {} };
        await turn.emit({ type: "assistant", parent_tool_use_id: parent, message: own });
      };
      const input = { subagent_type: "reviewer", prompt: "Review" };
      const main = { role: "assistant", model: "m", id: "msg_main", type: "message", usage: {} };
      await turn.emit({
        type: "assistant",
        parent_tool_use_id: null,
        message: { ...main, content: [{ type: "tool_use", id: parent, name: "Task", input }] },
      });
      await say([{ type: "text", text: "I review" }]);
      await turn.emit({
        type: "user",
        parent_tool_use_id: null,
        message: { role: "user", content: [{ type: "tool_result", tool_use_id: parent, content: "fine" }] },
      });
      await turn.text("Reviewed");
    },
  });
  const { id } = await scene.create(agent);
  const stream = await scene.sessions.events.stream(id);
  await scene.sessions.events.send(id, { events: [message("go")] });
  const events = await untilIdle(stream);
  const threads = await Array.fromAsync(scene.sessions.threads.list(id));
  expect(threads).toMatchObject([
    { type: "session_thread", session_id: id, parent_thread_id: null, status: "idle" },
    { parent_thread_id: threads[0]?.id, agent: { type: "inline", name: "reviewer" }, status: "idle" },
  ]);
  const own = { session_thread_id: threads[1]?.id, agent_name: "reviewer" };
  expect(events.filter(({ type }) => type.startsWith("session.thread"))).toMatchObject([
    { type: "session.thread_created", ...own },
    { type: "session.thread_status_running", ...own },
    { type: "session.thread_status_idle", ...own },
  ]);
  expect(events.filter(({ type }) => type === "agent.message")).toMatchObject([{ content: [{ text: "Reviewed" }] }]);
  const session_id = id;
  const inThread = await Array.fromAsync(scene.sessions.threads.events.list(threads[1]?.id ?? "", { session_id }));
  expect(inThread).toMatchObject([{ type: "agent.message", content: [{ type: "text", text: "I review" }] }]);
  expect(await scene.sessions.threads.retrieve(threads[1]?.id ?? "", { session_id })).toEqual(threads[1]);
  await expect(scene.sessions.threads.retrieve("sthr_x", { session_id })).rejects.toMatchObject({ status: 404 });
});

test("threads: a subagent in the background is idle once its task has ended, not once it has started", async () => {
  const agent = unique("support");
  const [spoke, go] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  await using scene = await AnthropicScene.start([template(agent)], {
    script: async (turn) => {
      const parent = "toolu_agent";
      const said = (id: string, content: readonly object[]): object => {
        return { role: "assistant", model: "m", id, type: "message", content, usage: {} };
      };
      const use = { type: "tool_use", id: parent, name: "Agent", input: { prompt: "Review" } };
      await turn.emit({ type: "assistant", parent_tool_use_id: null, message: said("msg_main", [use]) });
      const task = { task_id: "task-1", task_type: "local_agent", description: "review" };
      await turn.emit({ type: "system", subtype: "background_tasks_changed", tasks: [task] });
      await turn.emit({
        type: "user",
        parent_tool_use_id: null,
        message: { role: "user", content: [{ type: "tool_result", tool_use_id: parent, content: "launched" }] },
        tool_use_result: { isAsync: true, status: "async_launched", agentId: "task-1" },
      });
      const text = [{ type: "text", text: "I review" }];
      await turn.emit({ type: "assistant", parent_tool_use_id: parent, message: said("msg_sub", text) });
      spoke.resolve();
      await go.promise;
      await turn.emit({ type: "system", subtype: "background_tasks_changed", tasks: [] });
      await turn.text("Reviewed");
    },
  });
  const { id } = await scene.create(agent);
  const stream = await scene.sessions.events.stream(id);
  await scene.sessions.events.send(id, { events: [message("go")] });
  await spoke.promise;
  await expect.poll(async () => (await Array.fromAsync(scene.sessions.threads.list(id)))[1]?.status).toBe("running");
  go.resolve();
  const types = (await untilIdle(stream)).map(({ type }) => type).filter((type) => type.startsWith("session.thread"));
  expect(types).toEqual(["session.thread_created", "session.thread_status_running", "session.thread_status_idle"]);
  expect((await Array.fromAsync(scene.sessions.threads.list(id)))[1]?.status).toBe("idle");
  const listed = await Array.fromAsync(scene.sessions.events.list(id));
  const order = listed.map(({ type }) => type).filter((type) => /thread_status_idle|agent.tool_result/.test(type));
  expect(order).toEqual(["agent.tool_result", "session.thread_status_idle"]);
});

import { APIError } from "@anthropic-ai/sdk";
import { expect, test } from "vitest";
import { template } from "../../src/application/options/template.ts";
import { crashes, type FakeScript, inOrder, says, streams, turnByTurn } from "../../src/testing/index.ts";
import { eventually, unique } from "../session-on-fake/scene.ts";
import { AnthropicScene, isIdle, message, until, untilIdle } from "./anthropic-scene.ts";

/** A PNG of one pixel. */
const PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

/** Calls two tools at once, and says what became of them. */
const twoTools: FakeScript = async (turn) => {
  const results = await Promise.all([
    turn.toolUse("Write", { file_path: "/a", content: "1" }, { result: "written", ask: true }),
    turn.toolUse("Bash", { command: "ls" }, { result: "listed", ask: true }),
  ]);
  await turn.text(`used ${results.length}`);
};

test("user.tool_confirmation: answers the tool call that it names, also of two at once", async () => {
  const agent = unique("support");
  await using scene = await AnthropicScene.start([template(agent, { approvals: true, permissionMode: "default" })], {
    script: twoTools,
  });
  const { id } = await scene.create(agent);
  const stream = await scene.sessions.events.stream(id);
  await scene.sessions.events.send(id, { events: [message("go")] });
  const asked = await until(
    stream,
    (event) =>
      isIdle(event) && event.stop_reason.type === "requires_action" && event.stop_reason.event_ids.length === 2,
  );
  const [write, bash] = asked.filter((event) => event.type === "agent.tool_use");
  expect([write, bash]).toMatchObject([
    { name: "Write", evaluated_permission: "ask", evaluation: { type: "always_ask" } },
    { name: "Bash", evaluated_permission: "ask" },
  ]);
  expect(asked.at(-1)).toMatchObject({ stop_reason: { event_ids: [write?.id, bash?.id] } });
  expect((await scene.sessions.retrieve(id)).status).toBe("idle");
  const again = await scene.sessions.events.stream(id);
  await scene.sessions.events.send(id, {
    events: [
      { type: "user.tool_confirmation", tool_use_id: bash?.id ?? "", result: "deny", deny_message: "not today" },
    ],
  });
  await scene.sessions.events.send(id, {
    events: [{ type: "user.tool_confirmation", tool_use_id: write?.id ?? "", result: "allow" }],
  });
  const events = await untilIdle(again);
  const answers = events.filter(
    ({ type }) => type !== "agent.message" && !type.startsWith("span.") && type !== "session.usage",
  );
  expect(answers).toMatchObject(
    [
      { type: "user.tool_confirmation", tool_use_id: bash?.id, result: "deny", deny_message: "not today" },
      { type: "session.status_idle", stop_reason: { type: "requires_action", event_ids: [write?.id] } },
      { type: "user.tool_confirmation", tool_use_id: write?.id, result: "allow" },
      { type: "session.status_running" },
      { type: "agent.tool_result", tool_use_id: bash?.id, is_error: true },
      { type: "agent.tool_result", tool_use_id: write?.id, is_error: false },
      { type: "session.status_idle", stop_reason: { type: "end_turn" } },
    ].toSorted(() => 0),
  );
  for (const tool_use_id of [bash?.id ?? "", "sevt_unknown"]) {
    const late = scene.sessions.events.send(id, {
      events: [{ type: "user.tool_confirmation", tool_use_id, result: "allow" }],
    });
    await expect(late).rejects.toMatchObject({ status: 400, type: "invalid_request_error" });
  }
  const listed = await Array.fromAsync(scene.sessions.events.list(id));
  expect(new Set(listed.map((event) => event.id)).size).toBe(listed.length);
  expect(listed.filter(({ type }) => type === "agent.tool_use")).toMatchObject([write, bash]);
});

test("user.message: takes images, which lists return", async () => {
  const agent = unique("support");
  await using scene = await AnthropicScene.start([template(agent)]);
  const { id } = await scene.create(agent);
  const content = [
    { type: "text", text: "What is this?" },
    { type: "image", source: { type: "base64", media_type: "image/png", data: PIXEL } },
  ] as const;
  const stream = await scene.sessions.events.stream(id);
  await scene.sessions.events.send(id, { events: [{ type: "user.message", content: [...content] }] });
  const [first] = await untilIdle(stream);
  expect(first).toMatchObject({ type: "user.message", content });
  const [listed] = await Array.fromAsync(scene.sessions.events.list(id, { types: ["user.message"] }));
  expect(listed).toEqual(first);
});

test("user.interrupt: stops the turn, and the next message begins another one", async () => {
  const agent = unique("support");
  await using scene = await AnthropicScene.start([template(agent)], {
    script: turnByTurn(
      async (turn) => {
        await turn.partial("I think");
        await turn.hang();
      },
      inOrder(says("again")),
    ),
  });
  const { id } = await scene.create(agent);
  const stream = await scene.sessions.events.stream(id, { event_deltas: ["agent.message"] });
  await scene.sessions.events.send(id, { events: [message("go")] });
  const seen = until(stream, (event) => isIdle(event));
  await eventually(() => scene.supervisor.listSessions()[0]?.state === "busy");
  const sent = await scene.sessions.events.send(id, { events: [{ type: "user.interrupt" }] });
  const events = await seen;
  expect(events.filter(({ type }) => type !== "event_start" && type !== "event_delta").slice(-5)).toMatchObject([
    { type: "user.interrupt", id: sent.data?.[0]?.id },
    { type: "agent.message", content: [{ type: "text", text: "I think" }] },
    { type: "span.model_request_end", is_error: true },
    { type: "session.usage" },
    { type: "session.status_idle", stop_reason: { type: "end_turn" } },
  ]);
  expect(events).toContainEqual(expect.objectContaining({ type: "span.model_request_end", is_error: true }));
  const next = await scene.sessions.events.stream(id);
  await scene.sessions.events.send(id, { events: [message("go on")] });
  expect(await untilIdle(next)).toContainEqual(expect.objectContaining({ content: [{ type: "text", text: "again" }] }));
});

test("stream: goes on over a kill of the process, and ends the preview that it cut", async () => {
  const agent = unique("support");
  await using scene = await AnthropicScene.start([template(agent, { onInterruptedTurn: "retry" })], {
    script: turnByTurn(inOrder(streams(["I th"]), crashes()), inOrder(says("I think so"))),
  });
  const { id } = await scene.create(agent);
  const stream = await scene.sessions.events.stream(id, { event_deltas: ["agent.message"] });
  await scene.sessions.events.send(id, { events: [message("go")] });
  const events = await untilIdle(stream);
  const told = events.map(({ type }) => type).filter((type) => !type.startsWith("event_") && type !== "agent.message");
  expect(told).toEqual([
    "user.message",
    "session.status_running",
    "span.model_request_start",
    "span.model_request_end",
    "session.status_rescheduled",
    "session.status_running",
    "span.model_request_start",
    "span.model_request_end",
    "session.usage",
    "session.status_idle",
  ]);
  const [start, end] = events.filter(({ type }) => type.startsWith("span."));
  expect(end).toMatchObject({
    is_error: true,
    model_request_start_id: start !== undefined && "id" in start ? start.id : "",
  });
});

test("Last-Event-ID: a stream continues after the event, over a restart of the application", async () => {
  const agent = unique("support");
  await using scene = await AnthropicScene.start([template(agent)]);
  const { id } = await scene.create(agent);
  const first = await scene.sessions.events.stream(id);
  await scene.sessions.events.send(id, { events: [message("one")] });
  await untilIdle(first);
  const listed = await Array.fromAsync(scene.sessions.events.list(id));
  await scene.restart();
  const texts = await rawStream(scene, id, "0.0", listed.length);
  expect(texts.map(({ data }) => JSON.parse(data))).toEqual(listed);
  for (const [index, { id: last }] of texts.entries()) {
    if (index === listed.length - 1) continue;
    const rest = await rawStream(scene, id, last, listed.length - index - 1);
    expect(rest.map(({ data }) => JSON.parse(data))).toEqual(listed.slice(index + 1));
  }
  expect(await Array.fromAsync(scene.sessions.events.list(id))).toEqual(listed);
});

/** Reads this many events of a stream that begins after the event with this id. */
async function rawStream(
  scene: AnthropicScene,
  session: string,
  last: string,
  count: number,
): Promise<{ id: string; data: string }[]> {
  const stop = new AbortController();
  const response = await scene.client.get(`/v1/sessions/${session}/events/stream`, {
    headers: { "last-event-id": last },
    signal: stop.signal,
    __binaryResponse: true,
  });
  const events: { id: string; data: string }[] = [];
  let text = "";
  const { body } = response as Response;
  for await (const chunk of body ?? []) {
    text += Buffer.from(chunk).toString();
    for (let end = text.indexOf("\n\n"); end >= 0; end = text.indexOf("\n\n")) {
      const fields = new Map(
        text
          .slice(0, end)
          .split("\n")
          .map((line) => line.split(/: (.*)/s, 2) as [string, string]),
      );
      text = text.slice(end + 2);
      events.push({ id: fields.get("id") ?? "", data: fields.get("data") ?? "" });
    }
    if (events.length >= count) break;
  }
  stop.abort();
  return events;
}

test("events.send: refuses what is not supported, with a sentence", async () => {
  const agent = unique("support");
  await using scene = await AnthropicScene.start([template(agent)]);
  const { id } = await scene.create(agent);
  const wrong = [
    [{ type: "system.message", content: [] }],
    [{ type: "user.define_outcome", description: "x" }],
    [{ type: "user.message", content: [] }],
    [{ type: "user.message", content: [{ type: "text", text: " " }] }],
    [{ type: "user.message", content: [{ type: "video" }] }],
    [{ type: "user.interrupt", session_thread_id: "sthr_x" }],
    [],
    "text",
  ];
  for (const events of wrong) {
    const error = await scene.client.post(`/v1/sessions/${id}/events`, { body: { events } }).then(
      () => undefined,
      (reason: unknown) => reason,
    );
    expect(error, JSON.stringify(events)).toBeInstanceOf(APIError);
    expect(error).toMatchObject({ status: 400, type: "invalid_request_error" });
  }
  expect(await Array.fromAsync(scene.sessions.events.list(id))).toEqual([]);
});

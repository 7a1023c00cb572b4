import { randomUUID } from "node:crypto";
import { expect, test } from "vitest";
import { template } from "../../src/application/options/template.ts";
import { systemClock } from "../../src/clock.ts";
import { anthropicRoutes } from "../../src/server/anthropic/routes.ts";
import { IN_CODE, SUPPORTED } from "../../src/server/anthropic/support-table.ts";
import { inOrder, says, streams, thinks, uses } from "../../src/testing/index.ts";
import { unique } from "../session-on-fake/scene.ts";
import { AnthropicScene, message, untilIdle } from "./anthropic-scene.ts";

test("client.beta.sessions: creates a session, sends a message and streams the answer", async () => {
  const agent = unique("support");
  await using scene = await AnthropicScene.start([template(agent, { systemPrompt: "You help" })], {
    script: inOrder(
      thinks("hm"),
      says("Hello"),
      uses("Read", { file_path: "/a" }, { result: "text of a" }),
      says("Done"),
    ),
  });
  const session = await scene.create(agent, { title: "First", metadata: { plan: "free" } });
  expect(session).toMatchObject({
    type: "session",
    status: "idle",
    title: "First",
    metadata: { plan: "free" },
    environment_id: "env_local",
    archived_at: null,
    budget: null,
    agent: { type: "agent", id: agent, system: "You help" },
  });
  const stream = await scene.sessions.events.stream(session.id);
  const sent = await scene.sessions.events.send(session.id, { events: [message("hi")] });
  const events = await untilIdle(stream);
  expect(events).toMatchObject([
    { type: "user.message", content: [{ type: "text", text: "hi" }], id: sent.data?.[0]?.id },
    { type: "session.status_running" },
    { type: "span.model_request_start" },
    { type: "agent.thinking" },
    { type: "agent.message", content: [{ type: "text", text: "Hello" }] },
    { type: "agent.tool_use", name: "Read", input: { file_path: "/a" }, evaluated_permission: "allow" },
    { type: "agent.tool_result", content: [{ type: "text", text: "text of a" }], is_error: false },
    { type: "agent.message", content: [{ type: "text", text: "Done" }] },
    { type: "span.model_request_end", is_error: false },
    { type: "session.usage", usage: { list_cost: { currency: "USD" } } },
    { type: "session.status_idle", stop_reason: { type: "end_turn" } },
  ]);
  const listed = await Array.fromAsync(scene.sessions.events.list(session.id, { limit: 3 }));
  expect(listed).toEqual(events.filter(({ type }) => type !== "session.usage"));
  const newest = await Array.fromAsync(scene.sessions.events.list(session.id, { limit: 4, order: "desc" }));
  expect(newest).toEqual(listed.toReversed());
  const some = await Array.fromAsync(
    scene.sessions.events.list(session.id, { limit: 1, types: ["agent.message", "user.message"] }),
  );
  expect(some).toEqual(listed.filter(({ type }) => type === "agent.message" || type === "user.message"));
});

test("client.beta.sessions.events.stream: previews messages and thinking for clients that ask", async () => {
  const agent = unique("support");
  await using scene = await AnthropicScene.start([template(agent)], {
    script: inOrder(streams(["Hel", "lo"])),
  });
  const session = await scene.create(agent);
  const stream = await scene.sessions.events.stream(session.id, { event_deltas: ["agent.message"] });
  await scene.sessions.events.send(session.id, { events: [message("hi")] });
  const events = await untilIdle(stream);
  const whole = events.find(({ type }) => type === "agent.message");
  if (whole?.type !== "agent.message") throw new Error("no message");
  const previews = events.filter(({ type }) => type === "event_start" || type === "event_delta");
  expect(previews).toEqual([
    { type: "event_start", event: { id: whole.id, type: "agent.message" } },
    {
      type: "event_delta",
      event_id: whole.id,
      delta: { type: "content_delta", index: 0, content: { type: "text", text: "Hel" } },
    },
    {
      type: "event_delta",
      event_id: whole.id,
      delta: { type: "content_delta", index: 0, content: { type: "text", text: "lo" } },
    },
  ]);
});

test("the table of supported operations: has exactly the server's routes", async () => {
  await using scene = await AnthropicScene.start([template(unique("support"))]);
  const context = {
    supervisor: scene.supervisor,
    clock: systemClock,
    newId: randomUUID,
    streams: { clock: systemClock, draining: new AbortController().signal, pingMs: 1_000, stallMs: 1_000 },
  };
  const routes = anthropicRoutes(context).routes.filter(({ method }) => method !== "ALL");
  const listed = [...SUPPORTED, ...IN_CODE].map(({ method, path }) => `${method} ${path}`);
  expect(routes.map(({ method, path }) => `${method} ${path}`).toSorted()).toEqual(listed.toSorted());
});

import { context, propagation, ROOT_CONTEXT } from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import { W3CTraceContextPropagator } from "@opentelemetry/core";
import { InMemorySpanExporter, SimpleSpanProcessor, TracerProvider } from "@opentelemetry/sdk-trace";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { query, session, stream } from "../../src/castellan.ts";
import { template } from "../../src/index.ts";
import { ATTRIBUTES, METRICS } from "../../src/telemetry/otel.ts";
import type { FakeScript } from "../../src/testing/index.ts";
import { eventually, failure, Scene, unique } from "../session-on-fake/scene.ts";
import { measured as measuredWith } from "./measured.ts";

const exporter = new InMemorySpanExporter();
const tracing = new TracerProvider({ spanProcessors: [new SimpleSpanProcessor({ exporter })] });
const tracer = tracing.getTracer("test");

beforeAll(() => {
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  propagation.setGlobalPropagator(new W3CTraceContextPropagator());
});

afterAll(() => {
  context.disable();
  propagation.disable();
});

beforeEach(() => exporter.reset());

const measured = (prompts = false) => measuredWith({ tracer: tracing.getTracer("castellan"), prompts });

const script: FakeScript = async (turn) => {
  if (turn.prompt === "die") await turn.crash({ signal: "SIGKILL" });
  await turn.text("done");
};

test("METRICS and ATTRIBUTES: have these names, which change only with a release", () => {
  expect({ METRICS, ATTRIBUTES }).toMatchInlineSnapshot(`
    {
      "ATTRIBUTES": {
        "agentId": "gen_ai.agent.id",
        "agentName": "gen_ai.agent.name",
        "attempts": "castellan.turn.attempts",
        "cacheCreationTokens": "gen_ai.usage.cache_creation.input_tokens",
        "cacheReadTokens": "gen_ai.usage.cache_read.input_tokens",
        "conversation": "gen_ai.conversation.id",
        "costUsd": "castellan.turn.cost_usd",
        "databaseContent": "castellan.database.content",
        "databaseLost": "castellan.database.lost",
        "errorType": "error.type",
        "exitClass": "castellan.exit.class",
        "faultKind": "castellan.fault.kind",
        "finishReasons": "gen_ai.response.finish_reasons",
        "granted": "castellan.capacity.granted",
        "inputTokens": "gen_ai.usage.input_tokens",
        "mcpServer": "castellan.mcp.server.name",
        "node": "castellan.node.name",
        "operation": "gen_ai.operation.name",
        "outcome": "castellan.approval.outcome",
        "outputTokens": "gen_ai.usage.output_tokens",
        "pool": "castellan.pool.name",
        "poolGranted": "castellan.pool.granted",
        "prompt": "castellan.turn.prompt",
        "promptLength": "castellan.turn.prompt_length",
        "provider": "gen_ai.provider.name",
        "requestModel": "gen_ai.request.model",
        "resumed": "castellan.activation.resumed",
        "sessionState": "castellan.session.state",
        "spare": "castellan.activation.spare",
        "supervisor": "castellan.supervisor.name",
        "tokenType": "gen_ai.token.type",
        "turn": "castellan.turn.id",
        "turnState": "castellan.turn.state",
        "webhook": "castellan.webhook.id",
        "webhookDropReason": "castellan.webhook.drop.reason",
        "webhookOutcome": "castellan.webhook.outcome",
      },
      "METRICS": {
        "activationStartDuration": "castellan.activation.start.duration",
        "activationUptime": "castellan.activation.uptime",
        "activations": "castellan.activations",
        "approvals": "castellan.approvals",
        "approvalsPending": "castellan.approval.pending",
        "capacityWaitDuration": "castellan.capacity.wait.duration",
        "capacityWaiting": "castellan.capacity.waiting",
        "databaseFailovers": "castellan.database.failovers",
        "databaseGaps": "castellan.database.gaps",
        "faults": "castellan.session.faults",
        "globalClaims": "castellan.global.claims",
        "mcpServersFailed": "castellan.mcp.servers.failed",
        "nodeLosses": "castellan.node.losses",
        "operationDuration": "gen_ai.client.operation.duration",
        "poolExhausted": "castellan.pool.exhausted",
        "poolLent": "castellan.pool.lent",
        "poolWaitDuration": "castellan.pool.wait.duration",
        "poolWaiting": "castellan.pool.waiting",
        "quarantines": "castellan.session.quarantines",
        "restarts": "castellan.session.restarts",
        "sessions": "castellan.sessions",
        "tokenUsage": "gen_ai.client.token.usage",
        "turnCost": "castellan.turn.cost",
        "turnQueueDuration": "castellan.turn.queue.duration",
        "turns": "castellan.turns",
        "turnsActive": "castellan.turn.active",
        "webhookDrops": "castellan.webhook.drops",
        "webhookRequests": "castellan.webhook.requests",
      },
    }
  `);
});

test("the span of a turn: is a child of the caller's span, and has the request, usage and result as attributes", async () => {
  const [name, { stop }] = [unique("support"), measured()];
  await using _ = await Scene.open({ script, children: [template(name, { model: "claude-haiku-4-5" })] });
  await tracer.startActiveSpan("request", async (request) => {
    await query([name, 42], "a secret");
    request.end();
  });
  const [turn, request] = exporter.getFinishedSpans();
  expect(turn?.name).toBe(`invoke_agent ${name}`);
  expect(turn?.parentSpanContext?.spanId).toBe(request?.spanContext().spanId);
  expect(turn?.spanContext().traceId).toBe(request?.spanContext().traceId);
  expect(turn?.attributes).toMatchObject({
    "gen_ai.operation.name": "invoke_agent",
    "gen_ai.provider.name": "anthropic",
    "gen_ai.agent.name": name,
    "gen_ai.agent.id": `["${name}",42]`,
    "gen_ai.request.model": "claude-haiku-4-5",
    "gen_ai.conversation.id": session([name, 42]).status().conversationId,
    "gen_ai.response.finish_reasons": ["end_turn"],
    "castellan.turn.state": "completed",
    "castellan.turn.attempts": 1,
    "castellan.turn.prompt_length": 8,
    "castellan.turn.cost_usd": 0.01,
  });
  expect(turn?.attributes["gen_ai.usage.output_tokens"]).toBe(1);
  expect(JSON.stringify(turn?.attributes)).not.toContain("a secret");
  stop();
});

test("a process: gets the trace context of its caller as TRACEPARENT, unless its options set one", async () => {
  const [name, own, { stop }] = [unique(), unique("own"), measured()];
  await using scene = await Scene.open({
    script,
    children: [template(name), { name: own, activation: "lazy", env: { TRACEPARENT: "mine" } }],
  });
  const traceId = await tracer.startActiveSpan("request", async (request) => {
    await query([name, 1], "hi");
    await query(own, "hi");
    request.end();
    return request.spanContext().traceId;
  });
  expect(scene.fake.processes[0]?.env["TRACEPARENT"]).toMatch(new RegExp(`^00-${traceId}-[0-9a-f]{16}-01$`));
  expect(scene.fake.processes[1]?.env["TRACEPARENT"]).toBe("mine");
  stop();
  await context.with(ROOT_CONTEXT, async () => await query([name, 2], "hi"));
  expect(scene.fake.processes[2]?.env["TRACEPARENT"]).toBeUndefined();
});

test("the span of a turn: records a failure, a turn left in the mailbox, and the prompt if it is asked for", async () => {
  const [name, { stop }] = [unique(), measured(true)];
  {
    await using _ = await Scene.open({
      script: async (turn) => (turn.prompt === "hold" ? turn.hang() : script(turn)),
      children: [{ name, onInterruptedTurn: "fail" }],
    });
    await failure(query(name, "die"), "TURN_INTERRUPTED");
    const turn = stream(name, "hold");
    await eventually(() => turn.state === "running");
    await session(name).enqueue("later");
    turn.result().catch(() => {});
  }
  await eventually(() => exporter.getFinishedSpans().length === 3);
  const of = (prompt: string) =>
    exporter.getFinishedSpans().find((span) => span.attributes[ATTRIBUTES.prompt] === prompt);
  expect(of("die")?.attributes).toMatchObject({
    "error.type": "TURN_INTERRUPTED",
    "castellan.turn.state": "interrupted",
  });
  expect(of("die")?.status.code).toBe(2);
  expect(of("later")?.attributes).toMatchObject({ "castellan.turn.state": "left" });
  stop();
});

test("metrics: count turns, processes, restarts and sessions, with no name or prompt in any attribute", async () => {
  const [name, { stop, metrics, points }] = [unique("secret-name"), measured(true)];
  await using scene = await Scene.open({
    script,
    children: [{ name, onInterruptedTurn: "fail", model: "claude-haiku-4-5" }],
    options: { name: "shop" },
  });
  await query(name, "secret-prompt");
  await failure(query(name, "die"), "TURN_INTERRUPTED");
  await eventually(() => session(name).status().state === "idle");
  await query(name, "again");
  const shop = { "castellan.supervisor.name": "shop" };
  expect(await points(METRICS.turns)).toEqual([
    { ...shop, "castellan.turn.state": "completed", value: 2 },
    { ...shop, "castellan.turn.state": "interrupted", value: 1 },
  ]);
  const operation = {
    ...shop,
    "gen_ai.operation.name": "invoke_agent",
    "gen_ai.provider.name": "anthropic",
    "gen_ai.request.model": "claude-haiku-4-5",
  };
  expect(await points(METRICS.operationDuration)).toEqual([
    { ...operation, value: 2 },
    { ...operation, "error.type": "TURN_INTERRUPTED", value: 1 },
  ]);
  expect(await points(METRICS.tokenUsage)).toEqual([
    { ...operation, "gen_ai.token.type": "input", value: 2 },
    { ...operation, "gen_ai.token.type": "output", value: 2 },
  ]);
  expect(await points(METRICS.turnCost)).toEqual([{ ...shop, value: 0.02 }]);
  expect(await points(METRICS.turnsActive)).toEqual([{ ...shop, value: 0 }]);
  expect(await points(METRICS.restarts)).toEqual([{ ...shop, "castellan.exit.class": "crash", value: 1 }]);
  expect(await points(METRICS.activations)).toEqual([{ ...shop, value: 1 }]);
  expect(await points(METRICS.sessions)).toContainEqual({ ...shop, "castellan.session.state": "idle", value: 1 });
  const all = JSON.stringify((await metrics()).map(({ dataPoints }) => dataPoints.map(({ attributes }) => attributes)));
  expect(all).not.toMatch(/secret/);
  await scene.supervisor.stop();
  expect(await points(METRICS.activations)).toEqual([{ ...shop, value: 0 }]);
  expect(await points(METRICS.sessions)).toContainEqual({ ...shop, "castellan.session.state": "idle", value: 0 });
  stop();
  await using again = await Scene.open({ script, options: { name: "shop" } });
  await again.session.query("hi");
  expect(await points(METRICS.activations)).toEqual([{ ...shop, value: 0 }]);
});

test("metrics: never turn negative for sessions that ran before instrumentation", async () => {
  const gate = Promise.withResolvers<void>();
  await using scene = await Scene.open({
    script: async (turn) => {
      await gate.promise;
      await turn.text("done");
    },
    options: { name: "late" },
  });
  const turn = query(scene.name, "hi");
  await scene.fake.prompted(1);
  const { stop, points } = measured();
  gate.resolve();
  await turn;
  await scene.supervisor.stop();
  for (const name of [METRICS.turnsActive, METRICS.activations]) {
    expect((await points(name)).filter((point) => point.value !== 0)).toEqual([]);
  }
  expect(await points(METRICS.turns)).toEqual([
    { "castellan.supervisor.name": "late", "castellan.turn.state": "completed", value: 1 },
  ]);
  stop();
});

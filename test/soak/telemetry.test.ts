import { context, propagation } from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import { W3CTraceContextPropagator } from "@opentelemetry/core";
import { InMemorySpanExporter, SimpleSpanProcessor, TracerProvider } from "@opentelemetry/sdk-trace";
import parse from "parse-prometheus-text-format";
import { afterAll, afterEach, beforeAll, beforeEach, expect, it, vi } from "vitest";
import { pool, query, Supervisor, session, stream, template, use } from "../../src/index.ts";
import { METRICS } from "../../src/telemetry/otel.ts";
import { prometheus } from "../../src/telemetry/prometheus.ts";
import { type MockApi, mockApi } from "../../src/testing/index.ts";
import { unique } from "../session-on-fake/scene.ts";
import { measured } from "../telemetry/measured.ts";

let api: MockApi;

beforeAll(() => {
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  propagation.setGlobalPropagator(new W3CTraceContextPropagator());
});

afterAll(() => {
  context.disable();
  propagation.disable();
});

beforeEach(async () => {
  api = await mockApi();
});

afterEach(async () => {
  await api.stop();
});

it("Telemetry: records turns as spans and metrics, and passes the trace to a command that Claude runs", async () => {
  const exporter = new InMemorySpanExporter();
  const tracing = new TracerProvider({ spanProcessors: [new SimpleSpanProcessor({ exporter })] });
  const { stop, points } = measured({ tracer: tracing.getTracer("castellan") });
  const [name, shop] = [unique("support"), unique("shop")];
  await using _ = await Supervisor.start([template(name, { allowedTools: ["Bash"], model: "claude-haiku-4-5" })], {
    name: shop,
    journal: "memory",
    defaults: { env: api.env, cwd: api.cwd },
  });
  api.reply("trace", { toolUses: [{ name: "Bash", input: { command: "echo seen=$TRACEPARENT" } }] });
  api.reply(({ toolResults }) => toolResults.length > 0, "done");
  const traceId = await tracing.getTracer("test").startActiveSpan("request", async (request) => {
    expect((await query([name, 42], "Show the trace.")).text).toBe("done");
    request.end();
    return request.spanContext().traceId;
  });
  const results = api.requests.flatMap(({ toolResults }) => toolResults.map(({ text }) => text));
  const seen = results.flatMap((text) => /seen=(\S+)/.exec(text)?.[1] ?? []);
  expect(seen).toHaveLength(1);
  expect(seen[0]).toMatch(new RegExp(`^00-${traceId}-[0-9a-f]{16}-[0-9a-f]{2}$`));
  const [turn, request] = exporter.getFinishedSpans();
  expect(turn?.name).toBe(`invoke_agent ${name}`);
  expect(turn?.parentSpanContext?.spanId).toBe(request?.spanContext().spanId);
  expect(turn?.attributes).toMatchObject({
    "gen_ai.agent.id": `["${name}",42]`,
    "gen_ai.request.model": "claude-haiku-4-5",
    "gen_ai.conversation.id": session([name, 42]).sessionId,
    "castellan.turn.state": "completed",
    "gen_ai.usage.output_tokens": expect.any(Number),
  });
  const { pid } = session([name, 42]).status();
  if (pid === undefined) throw new Error("no process");
  process.kill(pid, "SIGKILL");
  await vi.waitUntil(() => session([name, 42]).status().restarts === 1, { interval: 5, timeout: 30_000 });
  await query([name, 42], "hi");
  const mine = { "castellan.supervisor.name": shop };
  const of = async (metric: string) =>
    (await points(metric)).filter((point) => point["castellan.supervisor.name"] === shop);
  expect(await of(METRICS.turns)).toEqual([{ ...mine, "castellan.turn.state": "completed", value: 2 }]);
  expect(await of(METRICS.turnsActive)).toEqual([{ ...mine, value: 0 }]);
  expect(await of(METRICS.activations)).toEqual([{ ...mine, value: 1 }]);
  expect(await of(METRICS.restarts)).toEqual([{ ...mine, "castellan.exit.class": "crash", value: 1 }]);
  expect(await of(METRICS.tokenUsage)).toMatchObject([
    { ...mine, "gen_ai.token.type": "input", value: 2 },
    { ...mine, "gen_ai.token.type": "output", value: 2 },
  ]);
  expect((await of(METRICS.turnCost))[0]?.value).toBeGreaterThan(0);
  stop();
});

it("prometheus: exposes turns, processes and pools, but no session name or prompt", async () => {
  const [name, lent, shop, metrics] = [unique("secret-name"), unique("lent"), unique("shop"), prometheus()];
  await using supervisor = await Supervisor.start([{ name }, pool(lent, { size: 1 })], {
    name: shop,
    journal: "memory",
    defaults: { env: api.env, cwd: api.cwd },
  });
  const read = async () => {
    const text = await (await metrics.handler()).text();
    expect(text).not.toMatch(/secret-/);
    const families = parse(text);
    return (wanted: string) =>
      families
        .find((family) => family.name === wanted)
        ?.metrics.filter(({ labels }) => labels?.["castellan_supervisor_name"] === shop);
  };
  for (const prompt of ["secret-prompt", "two"]) await query(name, prompt);
  const late = await use(lent, async (one) => {
    await one.query("hi");
    const turn = stream(lent, "hi");
    const during = await read();
    expect(during("castellan_pool_waiting")).toMatchObject([{ value: "1", labels: { castellan_pool_name: lent } }]);
    expect(during("castellan_pool_lent")).toMatchObject([{ value: "1", labels: { castellan_pool_name: lent } }]);
    expect(during("castellan_activations")).toMatchObject([{ value: "2" }]);
    return turn;
  });
  await late.result();
  const after = await read();
  expect(after("castellan_turns_total")).toMatchObject([{ value: "4", labels: { castellan_turn_state: "completed" } }]);
  expect(after("castellan_turn_active")).toMatchObject([{ value: "0" }]);
  expect(after("castellan_pool_lent")).toMatchObject([{ value: "0", labels: { castellan_pool_name: lent } }]);
  expect(after("castellan_pool_waiting")).toMatchObject([{ value: "0" }]);
  expect(Number(after("castellan_turn_cost_total")?.[0]?.value)).toBeGreaterThan(0);
  await supervisor.stop();
  expect((await read())("castellan_activations")).toMatchObject([{ value: "0" }]);
  await metrics.stop();
});

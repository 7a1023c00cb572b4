import { trace } from "@opentelemetry/api";
import { InMemorySpanExporter, SimpleSpanProcessor, TracerProvider } from "@opentelemetry/sdk-trace";
import { query, Supervisor } from "castellan";
import { expect, onTestFinished, test } from "vitest";
import { alarmOnQuarantine, logTo, metricsRoute, startTraced } from "../../examples/telemetry.ts";
import { onFake } from "./on-fake.ts";

test("telemetry.ts: traces turns", async () => {
  const exporter = new InMemorySpanExporter();
  trace.setGlobalTracerProvider(new TracerProvider({ spanProcessors: [new SimpleSpanProcessor({ exporter })] }));
  const { options } = onFake();
  await using _traced = await startTraced(options);
  await query("assistant", "hi");
  expect(exporter.getFinishedSpans()).toMatchObject([
    {
      name: "invoke_agent assistant",
      attributes: { "castellan.turn.state": "completed", "gen_ai.agent.id": '"assistant"' },
    },
  ]);
});

test("telemetry.ts: serves Prometheus metrics that name no session", async () => {
  const { options } = onFake();
  const { app, metrics } = metricsRoute();
  onTestFinished(() => metrics.stop());
  await using _supervisor = await Supervisor.start([{ name: "secret-customer" }], options);
  await query("secret-customer", "hi");
  const response = await app.request("/metrics");
  expect(response.headers.get("content-type")).toContain("text/plain");
  const text = await response.text();
  expect(text).toMatch(/^castellan_turns(_total)?\{.*castellan_turn_state="completed".*\} 1/m);
  expect(text).toMatch(/^castellan_turn_cost/m);
  expect(text).not.toContain("secret-customer");
});

test("telemetry.ts: logs each turn, and raises an alarm for a quarantined session", async () => {
  const { options } = onFake(async (turn) => {
    if (turn.prompt === "die") await turn.crash({ stderr: "out of luck" });
    await turn.text("fine");
  });
  const lines: [object, string][] = [];
  const write = (fields: object, message: string): void => void lines.push([fields, message]);
  onTestFinished(logTo({ info: write, warn: write }));
  const alarms: unknown[] = [];
  onTestFinished(alarmOnQuarantine((...alarm) => alarms.push(alarm)));
  await using _supervisor = await Supervisor.start([{ name: "assistant" }], { ...options, maxRestarts: 0 });
  await query("assistant", "a question");
  expect(lines.at(-1)).toMatchObject([
    { session: "assistant", result: "completed", promptLength: 10, costUsd: 0.01 },
    expect.stringContaining("assistant"),
  ]);
  expect(JSON.stringify(lines)).not.toContain("a question");
  await expect(query("assistant", "die")).rejects.toMatchObject({ code: "SESSION_QUARANTINED" });
  expect(alarms).toEqual([["assistant", expect.stringContaining("out of luck")]]);
});

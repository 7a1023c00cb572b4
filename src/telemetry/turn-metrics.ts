import type { Attributes, Meter } from "@opentelemetry/api";
import { on } from "../events.ts";
import { of, SECONDS, seconds } from "./instruments.ts";
import { ATTRIBUTES, METRICS, OPERATION, PROVIDER } from "./names.ts";
import { OpenCount } from "./open-count.ts";

/** Bounds of histograms of tokens: those of the GenAI conventions. */
const TOKENS = [1, 4, 16, 64, 256, 1_024, 4_096, 16_384, 65_536, 262_144, 1_048_576, 4_194_304];

/** Measures turns: how many there are, how long they take, and what they use. @returns what ends that */
export function measureTurns(meter: Meter): (() => void)[] {
  const duration = meter.createHistogram(METRICS.operationDuration, {
    description: "How long turns took, from being accepted to their end",
    unit: "s",
    advice: { explicitBucketBoundaries: SECONDS },
  });
  const tokens = meter.createHistogram(METRICS.tokenUsage, {
    description: "Tokens that turns used",
    unit: "{token}",
    advice: { explicitBucketBoundaries: TOKENS },
  });
  const queued = seconds(
    meter,
    METRICS.turnQueueDuration,
    "How long turns waited before they were handed to a process",
  );
  const cost = meter.createCounter(METRICS.turnCost, {
    description: "What turns cost, as Claude Code estimates it",
    unit: "{USD}",
  });
  const turns = meter.createCounter(METRICS.turns, { description: "Turns that have ended", unit: "{turn}" });
  const active = new OpenCount(meter, METRICS.turnsActive, "Turns that wait or run", "{turn}");
  /** The models of turns that run. */
  const models = new Map<string, string | undefined>();
  return [
    on("castellan:turn:accept", ({ turnId, ...facts }) => active.begin(turnId, of(facts))),
    on("castellan:turn:begin", ({ turnId, queuedMs, attempt, model, ...facts }) => {
      models.set(turnId, model);
      if (attempt === 1) queued.record(queuedMs / 1_000, of(facts));
    }),
    on("castellan:turn:end", ({ turnId, state, left, durationMs, reply, error, ...facts }) => {
      const model = models.get(turnId);
      models.delete(turnId);
      active.end(turnId);
      if (left) return;
      turns.add(1, { ...of(facts), [ATTRIBUTES.turnState]: state });
      const operation: Attributes = {
        ...of(facts),
        [ATTRIBUTES.operation]: OPERATION,
        [ATTRIBUTES.provider]: PROVIDER,
        ...(model === undefined ? {} : { [ATTRIBUTES.requestModel]: model }),
      };
      duration.record(durationMs / 1_000, {
        ...operation,
        ...(error === undefined ? {} : { [ATTRIBUTES.errorType]: error.code }),
      });
      if (reply === undefined) return;
      cost.add(reply.costUsd, of(facts));
      const { inputTokens, outputTokens, cacheReadInputTokens, cacheCreationInputTokens } = reply.usage;
      const input = inputTokens + cacheReadInputTokens + cacheCreationInputTokens;
      tokens.record(input, { ...operation, [ATTRIBUTES.tokenType]: "input" });
      tokens.record(outputTokens, { ...operation, [ATTRIBUTES.tokenType]: "output" });
    }),
  ];
}

import type { Attributes, Meter, ObservableResult } from "@opentelemetry/api";
import { registry } from "../application/registry.ts";
import type { SessionFacts } from "../events.ts";
import { on } from "../events.ts";
import { ATTRIBUTES, METRICS, OPERATION, PROVIDER } from "./names.ts";

/** Bounds of histograms of seconds: turns take from milliseconds to an hour. */
const SECONDS = [0.01, 0.05, 0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900, 3_600];

/** Those of the GenAI conventions for tokens. */
const TOKENS = [1, 4, 16, 64, 256, 1_024, 4_096, 16_384, 65_536, 262_144, 1_048_576, 4_194_304];

/**
 * Measures what happens to sessions, turns and processes. No name of a session, prompt or key is an attribute; their values are
 * those of a fixed set, but for the names of supervisors and models.
 *
 * @returns ends that
 */
export function measure(meter: Meter): () => void {
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
  const active = meter.createUpDownCounter(METRICS.turnsActive, {
    description: "Turns that wait or run",
    unit: "{turn}",
  });
  const restarts = meter.createCounter(METRICS.restarts, {
    description: "Restarts nobody asked for",
    unit: "{restart}",
  });
  const quarantines = meter.createCounter(METRICS.quarantines, {
    description: "Sessions set aside",
    unit: "{session}",
  });
  const activations = meter.createUpDownCounter(METRICS.activations, {
    description: "Processes that are up",
    unit: "{process}",
  });
  const starts = seconds(meter, METRICS.activationStartDuration, "How long processes took to be up");
  const uptime = seconds(meter, METRICS.activationUptime, "How long processes were up");
  const approvals = meter.createCounter(METRICS.approvals, {
    description: "Approvals that were settled",
    unit: "{approval}",
  });
  const pending = meter.createUpDownCounter(METRICS.approvalsPending, {
    description: "Approvals that are waited for",
    unit: "{approval}",
  });
  const waiting = meter.createUpDownCounter(METRICS.capacityWaiting, {
    description: "Sessions that wait for a process",
    unit: "{session}",
  });
  const waited = seconds(meter, METRICS.capacityWaitDuration, "How long sessions waited for a process");
  const sessions = meter.createObservableGauge(METRICS.sessions, {
    description: "Sessions by their state",
    unit: "{session}",
  });
  sessions.addCallback(observeSessions);
  /** The models of turns that run, and how many turns and approvals were there before this began and are not counted. */
  const models = new Map<string, string | undefined>();
  const known = {
    turns: new Set<string>(),
    approvals: new Set<string>(),
    processes: new Set<string>(),
    waiting: new Set<string>(),
  };
  const ends = [
    on("castellan:turn:accept", ({ turnId, ...facts }) => {
      known.turns.add(turnId);
      active.add(1, of(facts));
    }),
    on("castellan:turn:begin", ({ turnId, queuedMs, attempt, model, ...facts }) => {
      models.set(turnId, model);
      if (attempt === 1) queued.record(queuedMs / 1_000, of(facts));
    }),
    on("castellan:turn:end", ({ turnId, state, left, durationMs, reply, error, ...facts }) => {
      const model = models.get(turnId);
      models.delete(turnId);
      if (known.turns.delete(turnId)) active.add(-1, of(facts));
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
    on("castellan:session:restart", ({ exit, ...facts }) =>
      restarts.add(1, { ...of(facts), [ATTRIBUTES.exitClass]: exit.class }),
    ),
    on("castellan:session:quarantine", (facts) => quarantines.add(1, of(facts))),
    on("castellan:activation:start", ({ durationMs, resumed, spare, session, ...facts }) => {
      known.processes.add(JSON.stringify(session));
      activations.add(1, of(facts));
      starts.record(durationMs / 1_000, { ...of(facts), [ATTRIBUTES.resumed]: resumed, [ATTRIBUTES.spare]: spare });
    }),
    on("castellan:activation:end", ({ exit, uptimeMs, session, ...facts }) => {
      if (!known.processes.delete(JSON.stringify(session))) return;
      activations.add(-1, of(facts));
      uptime.record(uptimeMs / 1_000, { ...of(facts), [ATTRIBUTES.exitClass]: exit.class });
    }),
    on("castellan:approval:request", ({ id, ...facts }) => {
      known.approvals.add(id);
      pending.add(1, of(facts));
    }),
    on("castellan:approval:settle", ({ id, outcome, ...facts }) => {
      if (known.approvals.delete(id)) pending.add(-1, of(facts));
      approvals.add(1, { ...of(facts), [ATTRIBUTES.outcome]: outcome });
    }),
    on("castellan:capacity:wait", ({ session, ...facts }) => {
      known.waiting.add(JSON.stringify(session));
      waiting.add(1, of(facts));
    }),
    on("castellan:capacity:end", ({ session, waitedMs, granted, ...facts }) => {
      if (known.waiting.delete(JSON.stringify(session))) waiting.add(-1, of(facts));
      waited.record(waitedMs / 1_000, { ...of(facts), [ATTRIBUTES.granted]: granted });
    }),
  ];
  return () => {
    for (const end of ends) end();
    sessions.removeCallback(observeSessions);
  };
}

function of({ supervisor }: Pick<SessionFacts, "supervisor">): Attributes {
  return { [ATTRIBUTES.supervisor]: supervisor };
}

function seconds(meter: Meter, name: string, description: string): ReturnType<Meter["createHistogram"]> {
  return meter.createHistogram(name, { description, unit: "s", advice: { explicitBucketBoundaries: SECONDS } });
}

/** How many sessions of this process are in which state. */
function observeSessions(result: ObservableResult): void {
  for (const [supervisor, states] of registry.states()) {
    for (const [state, count] of states)
      result.observe(count, { ...of({ supervisor }), [ATTRIBUTES.sessionState]: state });
  }
}

import type { Attributes, Meter } from "@opentelemetry/api";
import { registry } from "../application/names/registry.ts";
import { on, type PoolFacts } from "../events.ts";
import { nameKey } from "../names.ts";
import { of, SECONDS, seconds } from "./instruments.ts";
import { LimitedNames } from "./limited-names.ts";
import { ATTRIBUTES, METRICS, OPERATION, PROVIDER } from "./names.ts";
import { type Count, observeCounts } from "./observed-counts.ts";
import { OpenCount } from "./open-count.ts";

/**
 * Measures what happens to sessions, turns, processes, pools and the node. No name of a session, prompt or key is an attribute; their values
 * are those of a fixed set, but for the names of supervisors, pools, models, the node, and a limited number of MCP servers.
 *
 * @returns ends that
 */
export function measure(meter: Meter): () => void {
  const ends = [
    ...measureTurns(meter),
    ...measureSessions(meter),
    ...measureMcpServers(meter),
    ...measureActivations(meter),
    ...measureApprovals(meter),
    ...measureCapacity(meter),
    ...measurePools(meter),
    ...measureCluster(meter),
  ];
  return () => {
    for (const end of ends) end();
  };
}

/** Bounds of histograms of tokens: those of the GenAI conventions. */
const TOKENS = [1, 4, 16, 64, 256, 1_024, 4_096, 16_384, 65_536, 262_144, 1_048_576, 4_194_304];

/** Measures turns: how many there are, how long they take, and what they use. @returns what ends that */
function measureTurns(meter: Meter): (() => void)[] {
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

/** Measures sessions: in which states they are, how often they are restarted or quarantined, and what faults they have. @returns what ends that */
function measureSessions(meter: Meter): (() => void)[] {
  const restarts = meter.createCounter(METRICS.restarts, {
    description: "Restarts nobody asked for",
    unit: "{restart}",
  });
  const quarantines = meter.createCounter(METRICS.quarantines, {
    description: "Sessions quarantined",
    unit: "{session}",
  });
  const faults = meter.createCounter(METRICS.faults, {
    description: "What went wrong beside the turns, by its kind",
    unit: "{fault}",
  });
  return [
    on("castellan:session:restart", ({ exit, ...facts }) =>
      restarts.add(1, { ...of(facts), [ATTRIBUTES.exitClass]: exit.class }),
    ),
    on("castellan:session:quarantine", (facts) => quarantines.add(1, of(facts))),
    on("castellan:session:fault", ({ kind, ...facts }) =>
      faults.add(1, { ...of(facts), [ATTRIBUTES.faultKind]: kind }),
    ),
    observeCounts(
      meter,
      METRICS.sessions,
      { description: "Sessions by their state", unit: "{session}" },
      sessionsByState,
    ),
  ];
}

/** How many sessions of this process are in which state. */
function* sessionsByState(): Generator<Count> {
  for (const [supervisor, states] of registry.states()) {
    for (const [state, count] of states) yield [{ ...of({ supervisor }), [ATTRIBUTES.sessionState]: state }, count];
  }
}

/** Of how many MCP servers the names are told. Each session may have others. */
const MOST_SERVERS = 50;

/** Measures how many sessions lack an MCP server. @returns what ends that */
function measureMcpServers(meter: Meter): (() => void)[] {
  const names = new LimitedNames(MOST_SERVERS);
  const description = "Sessions whose MCP server is not connected, does not answer or has ended";
  return [
    observeCounts(meter, METRICS.mcpServersFailed, { description, unit: "{session}" }, () => failedServers(names)),
  ];
}

function* failedServers(names: LimitedNames): Generator<Count> {
  for (const [supervisor, servers] of registry.faultyServers()) {
    const counts = new Map<string, number>();
    for (const [server, count] of servers) {
      const name = names.of(server);
      counts.set(name, (counts.get(name) ?? 0) + count);
    }
    for (const [name, count] of counts) yield [{ ...of({ supervisor }), [ATTRIBUTES.mcpServer]: name }, count];
  }
}

/** Measures processes: how many are up, how long that took, and how long they stay. @returns what ends that */
function measureActivations(meter: Meter): (() => void)[] {
  const activations = new OpenCount(meter, METRICS.activations, "Processes that are up", "{process}");
  const starts = seconds(meter, METRICS.activationStartDuration, "How long processes took to be up");
  const uptime = seconds(meter, METRICS.activationUptime, "How long processes were up");
  return [
    on("castellan:activation:start", ({ durationMs, resumed, spare, session, ...facts }) => {
      activations.begin(nameKey(session), of(facts));
      starts.record(durationMs / 1_000, { ...of(facts), [ATTRIBUTES.resumed]: resumed, [ATTRIBUTES.spare]: spare });
    }),
    on("castellan:activation:end", ({ exit, uptimeMs, session, ...facts }) => {
      if (!activations.end(nameKey(session))) return;
      uptime.record(uptimeMs / 1_000, { ...of(facts), [ATTRIBUTES.exitClass]: exit.class });
    }),
  ];
}

/** Measures approvals: how many are waited for, and how they were settled. @returns what ends that */
function measureApprovals(meter: Meter): (() => void)[] {
  const approvals = meter.createCounter(METRICS.approvals, {
    description: "Approvals that were settled",
    unit: "{approval}",
  });
  const pending = new OpenCount(meter, METRICS.approvalsPending, "Approvals that are waited for", "{approval}");
  return [
    on("castellan:approval:request", ({ id, ...facts }) => pending.begin(id, of(facts))),
    on("castellan:approval:settle", ({ id, outcome, ...facts }) => {
      pending.end(id);
      approvals.add(1, { ...of(facts), [ATTRIBUTES.outcome]: outcome });
    }),
  ];
}

/** Measures the wait for processes: how many sessions wait, and how long. @returns what ends that */
function measureCapacity(meter: Meter): (() => void)[] {
  const waiting = new OpenCount(meter, METRICS.capacityWaiting, "Sessions that wait for a process", "{session}");
  const waited = seconds(meter, METRICS.capacityWaitDuration, "How long sessions waited for a process");
  return [
    on("castellan:capacity:wait", ({ session, ...facts }) => waiting.begin(nameKey(session), of(facts))),
    on("castellan:capacity:end", ({ session, waitedMs, granted, ...facts }) => {
      waiting.end(nameKey(session));
      waited.record(waitedMs / 1_000, { ...of(facts), [ATTRIBUTES.granted]: granted });
    }),
  ];
}

/**
 * Measures pools: how many members are lent, how many wait for one and for how long, and how many got none. The name of a pool is
 * an attribute, since there are only as many as have been configured. @returns what ends that
 */
function measurePools(meter: Meter): (() => void)[] {
  const lent = new OpenCount(meter, METRICS.poolLent, "Members of pools that are lent", "{session}");
  const waiting = new OpenCount(meter, METRICS.poolWaiting, "Turns and loans that wait for a member", "{request}");
  const waited = seconds(meter, METRICS.poolWaitDuration, "How long turns and loans waited for a member");
  const exhausted = meter.createCounter(METRICS.poolExhausted, {
    description: "Turns and loans for which a pool had no member in time",
    unit: "{request}",
  });
  return [
    on("castellan:pool:checkout", ({ id, ...facts }) => lent.begin(id, ofPool(facts))),
    on("castellan:pool:checkin", ({ id }) => void lent.end(id)),
    on("castellan:pool:wait", ({ id, ...facts }) => waiting.begin(id, ofPool(facts))),
    on("castellan:pool:leave", ({ id, waitedMs, granted, ...facts }) => {
      waiting.end(id);
      waited.record(waitedMs / 1_000, { ...ofPool(facts), [ATTRIBUTES.poolGranted]: granted });
    }),
    on("castellan:pool:exhausted", (facts) => exhausted.add(1, ofPool(facts))),
  ];
}

function ofPool({ pool, ...facts }: PoolFacts): Attributes {
  return { ...of(facts), [ATTRIBUTES.pool]: pool };
}

/**
 * Measures a node of a cluster: how often it had to give up all that it owned, how many sessions it has taken, and what of its
 * database had to be noticed. The name of the
 * node is an attribute, since a process is one. @returns what ends that
 */
function measureCluster(meter: Meter): (() => void)[] {
  const losses = meter.createCounter(METRICS.nodeLosses, {
    description: "How often a node had to give up its global sessions, because it could not say that it lives",
    unit: "{loss}",
  });
  const claims = meter.createCounter(METRICS.globalClaims, {
    description: "Global sessions that a node has taken",
    unit: "{session}",
  });
  const histories = meter.createCounter(METRICS.nodeHistories, {
    description: "How often the database of a node had another history than it had",
    unit: "{change}",
  });
  const lacking = meter.createCounter(METRICS.journalLacking, {
    description:
      "How often a database lacked what it had confirmed, by whether it is lost or has been written once more",
    unit: "{time}",
  });
  return [
    on("castellan:node:lose", ({ node }) => losses.add(1, { [ATTRIBUTES.node]: node })),
    on("castellan:node:history", ({ node }) => histories.add(1, { [ATTRIBUTES.node]: node })),
    on("castellan:journal:lack", ({ of, lost }) =>
      lacking.add(1, { [ATTRIBUTES.lacking]: of, [ATTRIBUTES.lost]: lost }),
    ),
    on("castellan:global:claim", ({ node }) => claims.add(1, { [ATTRIBUTES.node]: node })),
  ];
}

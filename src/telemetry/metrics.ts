import type { Attributes, Histogram, Meter, MetricOptions, ObservableResult, UpDownCounter } from "@opentelemetry/api";
import { registry } from "../application/names/registry.ts";
import { on, type PoolFacts } from "../events.ts";
import { nameKey } from "../names.ts";
import { ATTRIBUTES, METRICS, OPERATION, PROVIDER } from "./names.ts";

/**
 * Measures sessions, turns, processes, approvals, pools and the node of this process. No attribute contains a session name, a prompt or
 * a key. Attribute values come from fixed sets, except the names of supervisors, pools, models, the node, and the first 50 MCP servers.
 *
 * @returns a function that stops measuring
 */
export function measure(meter: Meter): () => void {
  const unsubscribes = [
    ...measureTurns(meter),
    ...measureSessions(meter),
    ...measureMcpServers(meter),
    ...measureActivations(meter),
    ...measureApprovals(meter),
    ...measureCapacity(meter),
    ...measurePools(meter),
    ...measureCluster(meter),
    ...measureWebhooks(meter),
  ];
  return () => {
    for (const unsubscribe of unsubscribes) unsubscribe();
  };
}

/** Buckets of token histograms, from the GenAI semantic conventions. */
const TOKENS = [1, 4, 16, 64, 256, 1_024, 4_096, 16_384, 65_536, 262_144, 1_048_576, 4_194_304];

/* Each of the following functions returns the functions that unsubscribe it. */

/** Measures turns: their number, duration, tokens and cost. */
function measureTurns(meter: Meter): (() => void)[] {
  const duration = meter.createHistogram(METRICS.operationDuration, {
    description: "Time from accepting a turn to its end",
    unit: "s",
    advice: { explicitBucketBoundaries: SECONDS },
  });
  const tokens = meter.createHistogram(METRICS.tokenUsage, {
    description: "Tokens used by turns",
    unit: "{token}",
    advice: { explicitBucketBoundaries: TOKENS },
  });
  const queued = seconds(meter, METRICS.turnQueueDuration, "Time that turns waited for a process");
  const cost = meter.createCounter(METRICS.turnCost, {
    description: "Cost of turns, as estimated by Claude Code",
    unit: "{USD}",
  });
  const turns = meter.createCounter(METRICS.turns, { description: "Ended turns", unit: "{turn}" });
  const active = new OpenCount(meter, METRICS.turnsActive, "Waiting and running turns", "{turn}");
  /** The models of running turns, by turn id. */
  const models = new Map<string, string | undefined>();
  return [
    on("castellan:turn:accept", ({ turnId, ...facts }) => active.begin(turnId, supervisorAttributes(facts))),
    on("castellan:turn:begin", ({ turnId, queuedMs, attempt, model, ...facts }) => {
      models.set(turnId, model);
      if (attempt === 1) queued.record(queuedMs / 1_000, supervisorAttributes(facts));
    }),
    on("castellan:turn:end", ({ turnId, state, left, durationMs, reply, error, ...facts }) => {
      const model = models.get(turnId);
      models.delete(turnId);
      active.end(turnId);
      if (left) return;
      turns.add(1, { ...supervisorAttributes(facts), [ATTRIBUTES.turnState]: state });
      const operation: Attributes = {
        ...supervisorAttributes(facts),
        [ATTRIBUTES.operation]: OPERATION,
        [ATTRIBUTES.provider]: PROVIDER,
        ...(model === undefined ? {} : { [ATTRIBUTES.requestModel]: model }),
      };
      duration.record(durationMs / 1_000, {
        ...operation,
        ...(error === undefined ? {} : { [ATTRIBUTES.errorType]: error.code }),
      });
      if (reply === undefined) return;
      cost.add(reply.costUsd, supervisorAttributes(facts));
      const { inputTokens, outputTokens, cacheReadInputTokens, cacheCreationInputTokens } = reply.usage;
      const input = inputTokens + cacheReadInputTokens + cacheCreationInputTokens;
      tokens.record(input, { ...operation, [ATTRIBUTES.tokenType]: "input" });
      tokens.record(outputTokens, { ...operation, [ATTRIBUTES.tokenType]: "output" });
    }),
  ];
}

/** Measures sessions: their states, restarts, quarantines and faults. */
function measureSessions(meter: Meter): (() => void)[] {
  const restarts = meter.createCounter(METRICS.restarts, {
    description: "Restarts after a crash",
    unit: "{restart}",
  });
  const quarantines = meter.createCounter(METRICS.quarantines, {
    description: "Quarantined sessions",
    unit: "{session}",
  });
  const faults = meter.createCounter(METRICS.faults, {
    description: "Faults of sessions, by kind",
    unit: "{fault}",
  });
  return [
    on("castellan:session:restart", ({ exit, ...facts }) =>
      restarts.add(1, { ...supervisorAttributes(facts), [ATTRIBUTES.exitClass]: exit.class }),
    ),
    on("castellan:session:quarantine", (facts) => quarantines.add(1, supervisorAttributes(facts))),
    on("castellan:session:fault", ({ kind, ...facts }) =>
      faults.add(1, { ...supervisorAttributes(facts), [ATTRIBUTES.faultKind]: kind }),
    ),
    observeCounts(meter, METRICS.sessions, { description: "Sessions, by state", unit: "{session}" }, sessionsByState),
  ];
}

/** The sessions of this process, by supervisor and state. */
function* sessionsByState(): Generator<Count> {
  for (const [supervisor, states] of registry.states()) {
    for (const [state, count] of states)
      yield [{ ...supervisorAttributes({ supervisor }), [ATTRIBUTES.sessionState]: state }, count];
  }
}

/** The number of MCP servers whose names become attribute values; each session may have its own servers. */
const MAX_SERVER_NAMES = 50;

/** Measures the sessions with a failed MCP server. */
function measureMcpServers(meter: Meter): (() => void)[] {
  const names = new LimitedNames(MAX_SERVER_NAMES);
  const description = "Sessions whose MCP server is not connected, does not respond or has ended";
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
    for (const [name, count] of counts)
      yield [{ ...supervisorAttributes({ supervisor }), [ATTRIBUTES.mcpServer]: name }, count];
  }
}

/** Measures processes: their number, start duration and uptime. */
function measureActivations(meter: Meter): (() => void)[] {
  const activations = new OpenCount(meter, METRICS.activations, "Running processes", "{process}");
  const starts = seconds(meter, METRICS.activationStartDuration, "Time that processes took to start");
  const uptime = seconds(meter, METRICS.activationUptime, "Lifetime of processes");
  return [
    on("castellan:activation:start", ({ durationMs, resumed, spare, session, ...facts }) => {
      activations.begin(nameKey(session), supervisorAttributes(facts));
      starts.record(durationMs / 1_000, {
        ...supervisorAttributes(facts),
        [ATTRIBUTES.resumed]: resumed,
        [ATTRIBUTES.spare]: spare,
      });
    }),
    on("castellan:activation:end", ({ exit, uptimeMs, session, ...facts }) => {
      if (!activations.end(nameKey(session))) return;
      uptime.record(uptimeMs / 1_000, { ...supervisorAttributes(facts), [ATTRIBUTES.exitClass]: exit.class });
    }),
  ];
}

/** Measures approvals: how many are pending, and their outcomes. */
function measureApprovals(meter: Meter): (() => void)[] {
  const approvals = meter.createCounter(METRICS.approvals, {
    description: "Settled approvals",
    unit: "{approval}",
  });
  const pending = new OpenCount(meter, METRICS.approvalsPending, "Pending approvals", "{approval}");
  return [
    on("castellan:approval:request", ({ id, ...facts }) => pending.begin(id, supervisorAttributes(facts))),
    on("castellan:approval:settle", ({ id, outcome, ...facts }) => {
      pending.end(id);
      approvals.add(1, { ...supervisorAttributes(facts), [ATTRIBUTES.outcome]: outcome });
    }),
  ];
}

/** Measures the wait for process slots: the number of waiting sessions, and the time they waited. */
function measureCapacity(meter: Meter): (() => void)[] {
  const waiting = new OpenCount(meter, METRICS.capacityWaiting, "Sessions waiting for a process slot", "{session}");
  const waited = seconds(meter, METRICS.capacityWaitDuration, "Time that sessions waited for a process slot");
  return [
    on("castellan:capacity:wait", ({ session, ...facts }) =>
      waiting.begin(nameKey(session), supervisorAttributes(facts)),
    ),
    on("castellan:capacity:end", ({ session, waitedMs, granted, ...facts }) => {
      waiting.end(nameKey(session));
      waited.record(waitedMs / 1_000, { ...supervisorAttributes(facts), [ATTRIBUTES.granted]: granted });
    }),
  ];
}

/**
 * Measures pools: lent members, waiting borrowers, the time they waited, and exhaustion. The name of the pool is an attribute, because
 * configuration bounds the number of pools.
 */
function measurePools(meter: Meter): (() => void)[] {
  const lent = new OpenCount(meter, METRICS.poolLent, "Lent members of pools", "{session}");
  const waiting = new OpenCount(meter, METRICS.poolWaiting, "Turns and loans waiting for a member", "{request}");
  const waited = seconds(meter, METRICS.poolWaitDuration, "Time that turns and loans waited for a member");
  const exhausted = meter.createCounter(METRICS.poolExhausted, {
    description: "Turns and loans that got no member in time",
    unit: "{request}",
  });
  return [
    on("castellan:pool:checkout", ({ id, ...facts }) => lent.begin(id, poolAttributes(facts))),
    on("castellan:pool:checkin", ({ id }) => void lent.end(id)),
    on("castellan:pool:wait", ({ id, ...facts }) => waiting.begin(id, poolAttributes(facts))),
    on("castellan:pool:leave", ({ id, waitedMs, granted, ...facts }) => {
      waiting.end(id);
      waited.record(waitedMs / 1_000, { ...poolAttributes(facts), [ATTRIBUTES.poolGranted]: granted });
    }),
    on("castellan:pool:exhausted", (facts) => exhausted.add(1, poolAttributes(facts))),
  ];
}

function poolAttributes({ pool, ...facts }: PoolFacts): Attributes {
  return { ...supervisorAttributes(facts), [ATTRIBUTES.pool]: pool };
}

/**
 * Measures this node of a cluster and its database. The name of the node is an attribute, because a process is at most one node.
 */
function measureCluster(meter: Meter): (() => void)[] {
  const losses = meter.createCounter(METRICS.nodeLosses, {
    description: "Times that a node gave up its global sessions because it could not renew its lease",
    unit: "{loss}",
  });
  const claims = meter.createCounter(METRICS.globalClaims, {
    description: "Global sessions claimed by the node",
    unit: "{session}",
  });
  const failovers = meter.createCounter(METRICS.databaseFailovers, {
    description: "Failovers and restores of the cluster's database, as noticed by the node",
    unit: "{failover}",
  });
  const gaps = meter.createCounter(METRICS.databaseGaps, {
    description: "Times that a database lacked commits it had confirmed, by whether they are lost or written again",
    unit: "{gap}",
  });
  return [
    on("castellan:node:lose", ({ node }) => losses.add(1, { [ATTRIBUTES.node]: node })),
    on("castellan:database:failover", ({ node }) => failovers.add(1, { [ATTRIBUTES.node]: node })),
    on("castellan:database:gap", ({ content, lost }) =>
      gaps.add(1, { [ATTRIBUTES.databaseContent]: content, [ATTRIBUTES.databaseLost]: lost }),
    ),
    on("castellan:global:claim", ({ node }) => claims.add(1, { [ATTRIBUTES.node]: node })),
  ];
}

/** Measures webhooks. The application's options have few, so their ids may be attributes. */
function measureWebhooks(meter: Meter): (() => void)[] {
  const requests = meter.createCounter(METRICS.webhookRequests, {
    description: "Requests to webhooks, by outcome",
    unit: "{request}",
  });
  const drops = meter.createCounter(METRICS.webhookDrops, {
    description: "Times that events were not delivered to a webhook, by reason",
    unit: "{drop}",
  });
  return [
    on("castellan:webhook:attempt", ({ endpoint, outcome }) =>
      requests.add(1, { [ATTRIBUTES.webhook]: endpoint, [ATTRIBUTES.webhookOutcome]: outcome }),
    ),
    on("castellan:webhook:drop", ({ endpoint, reason }) =>
      drops.add(1, { [ATTRIBUTES.webhook]: endpoint, [ATTRIBUTES.webhookDropReason]: reason }),
    ),
  ];
}

/** Buckets of histograms of seconds: turns take from milliseconds to an hour. */
const SECONDS: number[] = [0.01, 0.05, 0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900, 3_600];

/** A histogram of seconds. */
function seconds(meter: Meter, name: string, description: string): Histogram {
  return meter.createHistogram(name, { description, unit: "s", advice: { explicitBucketBoundaries: SECONDS } });
}

/** The attributes that all metrics of a supervisor have. */
function supervisorAttributes({ supervisor }: { readonly supervisor: string }): Attributes {
  return { [ATTRIBUTES.supervisor]: supervisor };
}

/** A count of one combination of attributes. */
type Count = readonly [Attributes, number];

/**
 * Creates a gauge that calls `counts` at each collection. A combination of attributes that `counts` no longer yields is reported as 0,
 * because OpenTelemetry otherwise repeats its last value.
 *
 * @param counts yields each combination of attributes at most once; the number of combinations must be bounded
 * @returns a function that removes the callback
 */
function observeCounts(meter: Meter, name: string, options: MetricOptions, counts: () => Iterable<Count>): () => void {
  const gauge = meter.createObservableGauge(name, options);
  const seen = new Map<string, Attributes>();
  const observe = (result: ObservableResult): void => {
    const gone = new Map(seen);
    for (const [attributes, count] of counts()) {
      const key = JSON.stringify(attributes);
      seen.set(key, attributes);
      gone.delete(key);
      result.observe(count, attributes);
    }
    for (const attributes of gone.values()) result.observe(0, attributes);
  };
  gauge.addCallback(observe);
  return () => gauge.removeCallback(observe);
}

/** The value of an attribute for all names beyond the limit, as OpenTelemetry spells it. */
const OTHER = "_OTHER";

/** Attribute values: the first names up to a limit keep theirs, all later ones share `_OTHER`. */
class LimitedNames {
  readonly #limit: number;
  readonly #known = new Set<string>();

  constructor(limit: number) {
    this.#limit = limit;
  }

  of(name: string): string {
    if (this.#known.size < this.#limit) this.#known.add(name);
    return this.#known.has(name) ? name : OTHER;
  }
}

/** An up-down counter of operations in progress. It ignores the end of an operation that began before the counter existed. */
class OpenCount {
  readonly #counter: UpDownCounter;
  readonly #open = new Map<string, Attributes>();

  constructor(meter: Meter, name: string, description: string, unit: string) {
    this.#counter = meter.createUpDownCounter(name, { description, unit });
  }

  begin(key: string, attributes: Attributes): void {
    if (this.#open.has(key)) return;
    this.#open.set(key, attributes);
    this.#counter.add(1, attributes);
  }

  /** Returns whether the operation's begin was counted. */
  end(key: string): boolean {
    const attributes = this.#open.get(key);
    if (attributes === undefined) return false;
    this.#open.delete(key);
    this.#counter.add(-1, attributes);
    return true;
  }
}

import {
  type Attributes,
  createNoopMeter,
  type Meter,
  type MetricOptions,
  type Span,
  type Tracer,
  trace,
} from "@opentelemetry/api";
import { CastellanError, type ExitRecord } from "../../src/errors.ts";
import { type CastellanEvents, type EventName, publish } from "../../src/events.ts";
import { measure } from "../../src/telemetry/metrics.ts";
import { ATTRIBUTES, METRICS } from "../../src/telemetry/names.ts";
import { traceTurns } from "../../src/telemetry/tracing.ts";
import { code, prose, table } from "./markdown.ts";

/** An instrument, and the attributes that it has recorded. */
interface Instrument {
  readonly kind: string;
  readonly description: string;
  readonly unit: string;
  readonly attributes: Set<string>;
}

/** The attributes of the gauges, which observe the sessions of the process instead of an event. */
const OBSERVED: Readonly<Record<string, readonly string[]>> = {
  [METRICS.sessions]: [ATTRIBUTES.supervisor, ATTRIBUTES.sessionState],
  [METRICS.mcpServersFailed]: [ATTRIBUTES.supervisor, ATTRIBUTES.mcpServer],
};

/**
 * The table of metrics: what the instruments say of themselves, and the attributes that they record for {@link SAMPLES}.
 *
 * @throws Error if a metric records nothing for any of them
 */
export function metricsPart(): string {
  const instruments = new Map<string, Instrument>();
  const stop = measure(recordingMeter(instruments));
  for (const announce of SAMPLES) announce();
  stop();
  const rows = Object.values(METRICS).map((name) => {
    const { kind, description, unit, attributes } = instruments.get(name) ?? {};
    const seen = [...(OBSERVED[name] ?? attributes ?? [])];
    if (kind === undefined || seen.length === 0)
      throw new Error(`${name} records no sample; add one to metric-reference.ts`);
    return [code(name), kind, code(unit ?? ""), prose(description ?? ""), seen.map(code).join(", ")];
  });
  return table(["metric", "kind", "unit", "measures", "attributes"], rows).trimEnd();
}

/** The attributes of the span of a turn. */
export function spanAttributesPart(): string {
  const seen = new Set<string>();
  const stop = traceTurns(recordingTracer(seen), { prompts: true });
  for (const announce of SAMPLES) announce();
  stop();
  return `${[...seen].map(code).join(", ")}.`;
}

function recordingMeter(into: Map<string, Instrument>): Meter {
  const instrument =
    (kind: string) =>
    (name: string, { description = "", unit = "" }: MetricOptions = {}) => {
      const attributes = new Set<string>();
      into.set(name, { kind, description, unit, attributes });
      const note = (_: number, given: Attributes = {}): void => {
        for (const attribute of Object.keys(given)) attributes.add(attribute);
      };
      return { add: note, record: note, addCallback: () => {}, removeCallback: () => {} };
    };
  return Object.assign(createNoopMeter(), {
    createHistogram: instrument("histogram"),
    createCounter: instrument("counter"),
    createUpDownCounter: instrument("up-down counter"),
    createObservableGauge: instrument("gauge"),
  });
}

function recordingTracer(seen: Set<string>): Tracer {
  const span: Span = trace.wrapSpanContext({ traceId: "", spanId: "", traceFlags: 0 });
  const recording: Span = Object.assign(Object.create(span), {
    setAttribute: (name: string) => {
      seen.add(name);
      return recording;
    },
    setAttributes: (given: Attributes) => {
      for (const name of Object.keys(given)) seen.add(name);
      return recording;
    },
  });
  return { startSpan: () => recording, startActiveSpan: () => {} } as Tracer;
}

const EXIT: ExitRecord = { class: "crash", message: "", at: 0 };
const SESSION = { session: "reviewer", supervisor: "supervisor" };
const TURN = { ...SESSION, turnId: "1", origin: "caller" } as const;
const BORROWER = { pool: "summaries", supervisor: "supervisor", id: "1", wants: "turn" } as const;
const NODE = { node: "a", boot: "1" };

function sample<Name extends EventName>(name: Name, event: CastellanEvents[Name]): () => void {
  return () => publish(name, () => event);
}

const ACCEPTED = sample("castellan:turn:accept", { ...TURN, prompt: "", recovered: false });
const BEGUN = sample("castellan:turn:begin", {
  ...TURN,
  promptId: "1",
  attempt: 1,
  queuedMs: 0,
  conversationId: "1",
  model: "sonnet",
});
const USAGE = { inputTokens: 1, outputTokens: 1, cacheReadInputTokens: 0, cacheCreationInputTokens: 0 };
const ENDED = { ...TURN, left: false, attempts: 1, prompt: "", durationMs: 1 };

/** An event of each kind that is measured, and one of each form that has further attributes. */
const SAMPLES: readonly (() => void)[] = [
  ACCEPTED,
  BEGUN,
  sample("castellan:turn:end", {
    ...ENDED,
    state: "completed",
    reply: { costUsd: 0, usage: USAGE, text: "", stopReason: "end_turn", sessionId: "1" },
  }),
  ACCEPTED,
  BEGUN,
  sample("castellan:turn:end", { ...ENDED, state: "failed", error: new CastellanError("SESSION_STOPPED", "") }),
  sample("castellan:session:restart", { ...SESSION, exit: EXIT, restarts: 1 }),
  sample("castellan:session:quarantine", { ...SESSION, lastExits: [EXIT] }),
  sample("castellan:session:fault", { ...SESSION, kind: "mcp_server_failed", reason: "" }),
  sample("castellan:activation:start", {
    ...SESSION,
    pid: 1,
    activation: 1,
    conversationId: "1",
    durationMs: 1,
    resumed: false,
    spare: false,
  }),
  sample("castellan:activation:end", { ...SESSION, exit: EXIT, uptimeMs: 1 }),
  sample("castellan:approval:request", { ...SESSION, id: "1", tool: "Bash" }),
  sample("castellan:approval:settle", { ...SESSION, id: "1", outcome: "granted" }),
  sample("castellan:capacity:wait", SESSION),
  sample("castellan:capacity:end", { ...SESSION, waitedMs: 1, granted: true }),
  sample("castellan:pool:wait", BORROWER),
  sample("castellan:pool:leave", { ...BORROWER, waitedMs: 1, granted: true }),
  sample("castellan:pool:exhausted", { ...BORROWER, waitedMs: 1 }),
  sample("castellan:pool:checkout", { ...BORROWER, member: ["summaries", 0], waitedMs: 1 }),
  sample("castellan:node:lose", { ...NODE, error: new CastellanError("NOT_OWNER", ""), sessions: 1 }),
  sample("castellan:database:failover", { ...NODE, era: 1 }),
  sample("castellan:database:gap", { location: "", content: "journal", count: 1, lost: false }),
  sample("castellan:global:claim", { ...NODE, session: "reviewer", epoch: 1 }),
  sample("castellan:webhook:attempt", {
    endpoint: "crm",
    id: "1",
    type: "turn.completed",
    attempt: 1,
    outcome: "delivered",
    durationMs: 1,
  }),
  sample("castellan:webhook:drop", { endpoint: "crm", session: "reviewer", reason: "expired", event: 1 }),
];

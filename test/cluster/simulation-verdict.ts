import type { SimulatedCall } from "./simulated-caller.ts";
import type { Simulation } from "./simulation.ts";
import type { Plan } from "./simulation-plan.ts";

/** A violated property. Each property keeps its letter. */
export interface Violation {
  /**
   * `a`: two writers. `b`: a turn that does not end exactly once, or whose callers get different results. `c`: an
   * accepted turn that is lost. `d`: no progress. `e`: a prompt sent by a node that had stood still. `f`: two processes
   * at once. `g`: leftovers. `h`: missing or repeated messages.
   */
  readonly property: "a" | "b" | "c" | "d" | "e" | "f" | "g" | "h";
  readonly what: string;
}

/** Errors that leave the result of a turn open. */
const OPEN: ReadonlySet<string> = new Set(["CLUSTER_UNAVAILABLE", "DATABASE_UNAVAILABLE", "JOURNAL_UNAVAILABLE"]);

/** The message for a turn that does not exist. */
const NO_TURN = /the turn does not exist/;

/** How long a process may take to notice that it had stood still, in milliseconds. */
const NOTICE_MS = 300;

/** Returns every property that a simulation violates. */
export function violationsOf(simulation: Simulation): Violation[] {
  return [
    ...writers(simulation),
    ...ends(simulation),
    ...lost(simulation),
    ...progress(simulation),
    ...strays(simulation),
    ...overlaps(simulation),
    ...simulation.leftovers.map((what) => ({ property: "g", what: `left running: ${what}` }) as const),
    ...simulation.calls.flatMap((call) => [...unread(call)]),
  ];
}

function* writers({ engine }: Simulation): Generator<Violation> {
  const last = new Map<string, { readonly epoch: number; readonly boot: string }>();
  for (const { key, epoch, boot, owned, change, at } of engine.journal.written) {
    const what = `${boot} wrote ${change.type} of ${change.turn} for ${key} under ${epoch} at ${at.toFixed(1)}`;
    if (!owned) yield { property: "a", what: `${what} and did not own it` };
    const before = last.get(key);
    if (before !== undefined && (epoch < before.epoch || (epoch === before.epoch && boot !== before.boot))) {
      yield { property: "a", what: `${what}, after ${before.boot} had under ${before.epoch}` };
    }
    last.set(key, { epoch, boot });
  }
}

function* ends({ engine, calls, activations }: Simulation): Generator<Violation> {
  const turns = new Map(engine.journal.turns.map((turn) => [turn.id, turn]));
  for (const { id, state, ends: count, prompt } of turns.values()) {
    if (count > 1) yield { property: "b", what: `${prompt} (${id}) has ended ${count} times` };
    if (!calls.some(({ turnId }) => turnId === id))
      yield { property: "b", what: `nobody has asked for ${prompt} (${id})` };
    const finished = activations.finished.get(id) ?? 0;
    if (state === "completed" && finished !== 1)
      yield { property: "b", what: `${prompt} has run to its end ${finished} times` };
  }
  const acceptedAt = new Map<string, number>();
  for (const { turnId, acceptedAt: at } of calls) {
    if (at !== undefined) acceptedAt.set(turnId, Math.min(at, acceptedAt.get(turnId) ?? at));
  }
  for (const { outcome, times, ask, turnId, askedAt } of calls) {
    if (outcome === undefined) continue;
    // A look for a turn that is not accepted yet may find none.
    if (
      ask.looks &&
      "message" in outcome &&
      NO_TURN.test(outcome.message) &&
      askedAt <= (acceptedAt.get(turnId) ?? Number.POSITIVE_INFINITY)
    )
      continue;
    if (times > 1) yield { property: "b", what: `the caller of ${ask.turn} was told ${times} times` };
    const turn = turns.get(turnId);
    const said = "text" in outcome ? outcome.text : outcome.code;
    if (isOwnLimit(ask, said) || OPEN.has(said)) continue;
    if (turn === undefined) {
      if ("text" in outcome)
        yield { property: "b", what: `${ask.turn} is not in the journal, and its caller was told "${said}"` };
      continue;
    }
    const kept = JSON.stringify(turn.outcome);
    if (!kept?.includes(JSON.stringify(said))) {
      yield {
        property: "b",
        what: `the caller of ${ask.turn} was told "${said}", and the journal says ${turn.state} ${kept}`,
      };
    }
  }
}

/** Whether the caller's own deadline or signal ended its call. */
function isOwnLimit({ timeoutMs, abortAfterMs }: SimulatedCall["ask"], said: string): boolean {
  if (timeoutMs !== undefined && said === "TURN_TIMEOUT") return true;
  return abortAfterMs !== undefined && (said === "TURN_INTERRUPTED" || said === "TURN_CANCELLED");
}

function* lost({ engine, calls }: Simulation): Generator<Violation> {
  const known = new Set(engine.journal.turns.map(({ id }) => id));
  for (const { acceptedAt, ask, turnId } of calls) {
    if (acceptedAt !== undefined && !known.has(turnId))
      yield { property: "c", what: `${ask.turn} was accepted, and is not in the journal` };
  }
}

function* progress({ inTime, openTurns, calls }: Simulation): Generator<Violation> {
  if (!inTime.turns) {
    const waiting = calls.filter(({ outcome, machine }) => outcome === undefined && machine.state !== "dead");
    const callers = waiting.map(({ ask }) => `the caller of ${ask.turn} on ${ask.by}`);
    yield { property: "d", what: `still waiting: ${[...openTurns, ...callers].join(", ") || "a call"}` };
  }
  if (!inTime.nodes) yield { property: "d", what: "a node does not end" };
}

function* strays({ activations, plan }: Simulation): Generator<Violation> {
  // A node that is declared dead because the engine's clock was set was not frozen. It cannot know before it writes.
  if (setsEngineClock(plan)) return;
  for (const { at, turn, activation } of activations.strayPrompts) {
    const { boot, key, machine, endedAt } = activation;
    // The kernel delivers what arrived while the process stood still before the process can notice.
    const isOver = endedAt !== undefined && endedAt <= machine.thawedAt + NOTICE_MS + plan.pace.marginMs / 2;
    if (at - machine.thawedAt < 1 && isOver) continue;
    yield { property: "e", what: `${boot} handed out ${turn} at ${at.toFixed(1)}, and did not own ${key}` };
  }
}

function* overlaps({ activations, plan }: Simulation): Generator<Violation> {
  // The effects of a set clock on the engine's durations, or on a suspended machine, are undefined.
  const setsWall = plan.faults.some(({ type }) => type === "set_clock");
  if (setsEngineClock(plan)) return;
  for (const { at, older, newer, olderState } of activations.overlaps) {
    if (older.orphaned) continue;
    const slept = plan.faults.some((fault) => fault.type === "freeze" && fault.as === "suspended");
    if (setsWall && slept) continue;
    const thawedAt = older.machine.thawedAt;
    const endMs = plan.pace.marginMs / 2;
    const until = older.endedAt ?? Number.POSITIVE_INFINITY;
    const wasFrozen = olderState === "stopped" || olderState === "suspended" || at <= thawedAt + NOTICE_MS + endMs;
    if (wasFrozen && until <= thawedAt + NOTICE_MS + endMs) continue;
    // The same holds for a process that a late delivery started and that the node ended once it knew.
    const isLateStart = at - newer.machine.thawedAt < 1;
    if (isLateStart && (newer.endedAt ?? until) <= newer.machine.thawedAt + NOTICE_MS + endMs) continue;
    const span = `from ${at.toFixed(1)} to ${until.toFixed(1)}`;
    yield { property: "f", what: `processes of ${older.boot} and ${newer.boot} for ${newer.key} at once, ${span}` };
  }
}

function setsEngineClock({ faults }: Plan): boolean {
  return faults.some(({ type }) => type === "set_engine_clock");
}

/**
 * Checks that a reader got each message once and in order, from the first on. Messages are numbered within each
 * attempt.
 */
function* unread({ ask, messages, attempts, outcome, unread: why }: SimulatedCall): Generator<Violation> {
  let last = { attempt: 0, step: 0 };
  for (const [at, message] of messages.entries()) {
    const [attempt = 0, step = 0] = message.split(":").map(Number);
    const goesOn = attempt === last.attempt && step === last.step + 1;
    if (!goesOn && !(attempt > last.attempt && step === 1)) {
      yield { property: "h", what: `the reader of ${ask.turn} got ${messages.join(" ")}` };
      return;
    }
    if (attempts[at] !== attempt)
      yield { property: "h", what: `${message} of ${ask.turn} was said to be of ${attempts[at]}` };
    last = { attempt, step };
  }
  if (outcome === undefined || !("text" in outcome) || why !== undefined || !ask.messages) return;
  const expected = / in (\d+), (\d+) steps/.exec(outcome.text);
  if (Number(expected?.[1]) === last.attempt && Number(expected?.[2]) === last.step) return;
  yield {
    property: "h",
    what: `the reader of ${ask.turn} got ${messages.join(" ") || "nothing"} of "${outcome.text}"`,
  };
}

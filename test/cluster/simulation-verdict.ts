import type { SimulatedCall } from "./simulated-caller.ts";
import type { Simulation } from "./simulation.ts";
import type { Plan } from "./simulation-plan.ts";

/** A violated property. Each property keeps its letter. */
export interface Violation {
  /**
   * `a`: two writers. `b`: a turn that does not end exactly once, or whose callers get different results. `c`: an
   * accepted turn that is lost. `d`: no progress. `e`: a prompt sent by a node that had stood still. `f`: two processes
   * at once. `g`: leftovers. `h`: missing or repeated messages. `i`: a turn that a failover has lost, and whose caller is
   * not told. `j`: a turn whose cost counts more often, or less often, than it ran. `k`: a turn that is accepted again,
   * although its caller knew it as accepted.
   */
  readonly property: "a" | "b" | "c" | "d" | "e" | "f" | "g" | "h" | "i" | "j" | "k";
  readonly what: string;
}

/** Errors that leave the result of a turn open. */
const OPEN: ReadonlySet<string> = new Set(["CLUSTER_UNAVAILABLE", "DATABASE_UNAVAILABLE", "JOURNAL_UNAVAILABLE"]);

/** The states of a turn that has not ended. */
const OPEN_STATES: ReadonlySet<string> = new Set(["queued", "running"]);

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
    ...costs(simulation),
    ...accepts(simulation),
    ...progress(simulation),
    ...strays(simulation),
    ...overlaps(simulation),
    ...simulation.leftovers.map((what) => ({ property: "g", what: `left running: ${what}` }) as const),
    // A failover may lose the number of an attempt.
    ...(losesNodes(simulation) ? [] : simulation.calls.flatMap((call) => [...unread(call)])),
  ];
}

function* writers({ engine, plan }: Simulation): Generator<Violation> {
  const last = new Map<string, { readonly epoch: number; readonly boot: string }>();
  const failovers = failoversOf(plan);
  for (const { key, epoch, boot, owned, change, at } of engine.journal.written) {
    // A failover forgets the last owners.
    if ((failovers[0] ?? Number.POSITIVE_INFINITY) <= at) {
      failovers.shift();
      last.clear();
    }
    const what = `${boot} wrote ${change.type} of ${change.turn} for ${key} under ${epoch} at ${at.toFixed(1)}`;
    if (!owned) yield { property: "a", what: `${what} and did not own it` };
    const before = last.get(key);
    if (before !== undefined && (epoch < before.epoch || (epoch === before.epoch && boot !== before.boot))) {
      yield { property: "a", what: `${what}, after ${before.boot} had under ${before.epoch}` };
    }
    last.set(key, { epoch, boot });
  }
}

function* ends(simulation: Simulation): Generator<Violation> {
  const { engine, calls, activations, plan, toldLost } = simulation;
  const mayRunAgain = losesNodes(simulation);
  const unknownUntil = lastUnknown(plan);
  const turns = new Map(engine.journal.turns.map((turn) => [turn.id, turn]));
  for (const { id, state, ends: count, prompt } of turns.values()) {
    if (count > 1 && !mayRunAgain) yield { property: "b", what: `${prompt} (${id}) has ended ${count} times` };
    if (!calls.some(({ turnId }) => turnId === id))
      yield { property: "b", what: `nobody has asked for ${prompt} (${id})` };
    const finished = activations.finished.get(id) ?? 0;
    if (state === "completed" && finished !== 1 && !(mayRunAgain && finished > 1))
      yield { property: "b", what: `${prompt} has run to its end ${finished} times` };
  }
  const acceptedAt = new Map<string, number>();
  for (const { turnId, acceptedAt: at } of calls) {
    if (at !== undefined) acceptedAt.set(turnId, Math.min(at, acceptedAt.get(turnId) ?? at));
  }
  for (const { outcome, times, ask, turnId, askedAt, outcomeAt = 0 } of calls) {
    if (outcome === undefined) continue;
    const isLost = "code" in outcome && outcome.code === "TURN_LOST";
    if (isLost && !mayRunAgain) yield { property: "b", what: `the caller of ${ask.turn} was told that it is lost` };
    // What a caller was told before a node could know of a failover may be lost with the nodes that know it.
    if (isLost || (mayRunAgain && (outcomeAt <= unknownUntil || toldLost.has(ask.key)))) continue;
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

function* lost(simulation: Simulation): Generator<Violation> {
  const { engine, calls, plan, toldLost } = simulation;
  const known = new Set(engine.journal.turns.map(({ id }) => id));
  const mayLose = losesNodes(simulation);
  const unknownUntil = lastUnknown(plan);
  for (const { acceptedAt, ask, turnId, outcome, outcomeAt = 0, machine } of calls) {
    if (acceptedAt === undefined || known.has(turnId)) continue;
    if (!mayLose) yield { property: "c", what: `${ask.turn} was accepted, and is not in the journal` };
    else if (outcome !== undefined && (outcomeAt <= unknownUntil || isTold(outcome) || toldLost.has(ask.key))) continue;
    else if (
      machine.state !== "dead" &&
      !isOwnLimit(ask, outcome === undefined || "text" in outcome ? "" : outcome.code)
    )
      yield {
        property: "i",
        what: `${ask.turn} was accepted and is lost, and its caller was told ${JSON.stringify(outcome)}`,
      };
  }
}

/** Whether a caller knows that its turn may be lost. */
function isTold(outcome: NonNullable<SimulatedCall["outcome"]>): boolean {
  return "code" in outcome && (outcome.code === "TURN_LOST" || OPEN.has(outcome.code));
}

function* costs(simulation: Simulation): Generator<Violation> {
  const { engine, activations } = simulation;
  for (const { id, state, prompt } of engine.journal.turns) {
    const [cost, finished] = [engine.journal.costOf(id), activations.finished.get(id) ?? 0];
    const isEnough = state !== "completed" || cost >= (losesNodes(simulation) ? 1 : finished);
    if (cost > finished || !isEnough) yield { property: "j", what: `${prompt} ran ${finished} times and cost ${cost}` };
  }
}

/** A turn whose caller knows that it was accepted is not accepted a second time: it may have run. */
function* accepts({ engine, calls }: Simulation): Generator<Violation> {
  const asked = Map.groupBy(calls, ({ turnId }) => turnId);
  for (const { change, at, again, boot } of engine.journal.written) {
    if (change.type !== "accepted" || change.before === true || again) continue;
    const [call, ...others] = asked.get(change.turn) ?? [];
    // Others may ask with the same key, and not know.
    if (call?.acceptedAt === undefined || others.length > 0 || call.acceptedAt >= at) continue;
    yield { property: "k", what: `${change.prompt} was accepted again by ${boot} at ${at.toFixed(1)}` };
  }
}

/** When the database fails over, in order. */
function failoversOf({ faults }: Plan): number[] {
  return faults.flatMap(({ type, at }) => (type === "failover" ? [at] : []));
}

/** Until when no node can know of the last failover: the database that has taken over does not answer at first. */
function lastUnknown({ faults }: Plan): number {
  return Math.max(
    ...faults.map((fault) => (fault.type === "failover" ? fault.at + fault.forMs : Number.NEGATIVE_INFINITY)),
  );
}

/** Faults after which a node may not be able to write again what a failover has lost, or is too late. */
const LOSES_NODES: ReadonlySet<string> = new Set([
  // What one node has written before a move is refused once the next has recorded its claim again.
  ...["move", "kill", "freeze", "drain", "cut_engine", "storm", "set_clock", "set_engine_clock"],
]);

/** Whether a failover can lose what no node can write again, or a node of which the database knows nothing afterwards. */
function losesNodes({ plan }: Simulation): boolean {
  const { faults, pace } = plan;
  const leaseMs = pace.staleMs - pace.marginMs;
  const isLong = faults.some((fault) => fault.type === "failover" && fault.forMs >= leaseMs / 2);
  const failovers = faults.filter(({ type }) => type === "failover").length;
  return failovers > 0 && (isLong || failovers > 1 || faults.some(({ type }) => LOSES_NODES.has(type)));
}

function* progress(simulation: Simulation): Generator<Violation> {
  const { inTime, openTurns, calls, engine } = simulation;
  // A turn whose end only a lost node knew waits until its session has another owner: the present one knows it as ended.
  const isKnown = losesNodes(simulation) && engine.journal.turns.some(({ state }) => OPEN_STATES.has(state));
  if (!inTime.turns && !isKnown) {
    const waiting = calls.filter(({ outcome, machine }) => outcome === undefined && machine.state !== "dead");
    const callers = waiting.map(({ ask }) => `the caller of ${ask.turn} on ${ask.by}`);
    yield { property: "d", what: `still waiting: ${[...openTurns, ...callers].join(", ") || "a call"}` };
  }
  if (!inTime.nodes) yield { property: "d", what: "a node does not end" };
}

function* strays({ activations, plan }: Simulation): Generator<Violation> {
  // A node that is declared dead because the engine's clock was set was not frozen. It cannot know before it writes.
  // After a failover the engine does not know the owner for a moment.
  if (setsEngineClock(plan) || failoversOf(plan).length > 0) return;
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

import type { SDKMessage } from "@anthropic-ai/claude-agent-sdk";
import type { Clock } from "../clock.ts";
import { CastellanError, type ErrorCode } from "../errors.ts";
import { withoutUndefined } from "../fields.ts";
import type { SessionEvent } from "../session/record/session-event-types.ts";
import type { TurnEnd } from "../session/streams/reply.ts";
import { outcomeOf } from "../session/streams/turn-end.ts";
import { TurnGate } from "../session/streams/turn-gate.ts";
import type { TurnSource } from "../session/streams/turn-source.ts";
import { hasEnded } from "../session/streams/turn-state.ts";
import type { ClusterNode, FoundSession } from "./node.ts";
import { poolNameOf } from "./placement.ts";
import type { CallMethod } from "./protocol/call-methods.ts";
import {
  type CallAnswer,
  type CallRequest,
  type EventFrame,
  type EventsRequest,
  sentErrorOf,
  type TurnAsked,
  type TurnFrame,
  type TurnRequest,
} from "./protocol/frames.ts";
import type { RequestHandler } from "./protocol/transport.ts";
import type { HostedSession } from "./session-host.ts";

/** Codes with which a turn ends here and continues on the next owner. */
const CONTINUES_ELSEWHERE: ReadonlySet<ErrorCode> = new Set(["NOT_OWNER", "SUPERVISOR_STOPPED", "SESSION_STOPPED"]);

/** How long to remember the cancellation of a turn that has not arrived yet, in milliseconds. */
const CANCELLED_MS = 60_000;

/** How long a running turn may take when its session moves, in milliseconds. */
const MOVE_MS = 30_000;

/** How long a caller may take to confirm a pool's turn for which a member is reserved, in milliseconds. */
const CONFIRM_MS = 10_000;

/** A session or a pool of this node. */
interface Found {
  readonly session: HostedSession;
  readonly boot: string;
  readonly pool: boolean;
}

/** The parts of a node that its requests need. */
export type AskedNode = Pick<ClusterNode, "find" | "pool" | "release" | "eraseFiles" | "activities" | "activityOf">;

/** Answers requests for a node's sessions and pools, from other nodes and from this process. */
export class NodeRequestHandler implements RequestHandler {
  readonly #node: () => AskedNode | undefined;
  readonly #clock: Clock;
  /** When unknown turns were cancelled, by turn id. */
  readonly #cancelled = new Map<string, number>();
  /** The gates of pools' turns that callers follow, by turn id. */
  readonly #gates = new Map<string, TurnGate>();

  /**
   * `node` returns undefined until the node has joined. It joins after the server listens, because it needs the
   * server's port.
   */
  constructor(node: () => AskedNode | undefined, clock: Clock) {
    this.#node = node;
    this.#clock = clock;
  }

  async *turn(request: TurnRequest, signal: AbortSignal): AsyncGenerator<TurnFrame, void, undefined> {
    const found = await this.#find(request.key, request.claim);
    if (!("session" in found)) {
      yield found;
      return;
    }
    if (request.confirm === true && request.ask !== undefined && found.pool === true) {
      yield* this.#confirmed(found, request, signal);
      return;
    }
    const source = await this.#source(found.session, request);
    if ("type" in source) yield source;
    else yield* framesOf(source, found.boot, request, signal);
  }

  /** Yields the frames of a pool's turn that its caller has to confirm before it begins. */
  async *#confirmed(
    { session, boot }: Found,
    request: TurnRequest,
    signal: AbortSignal,
  ): AsyncGenerator<TurnFrame, void, undefined> {
    const gate = new TurnGate();
    const { turnId } = request;
    // The caller has given up its former request, which it had not confirmed.
    this.#gates.get(turnId)?.close();
    this.#gates.set(turnId, gate);
    const close = (): void => gate.close();
    signal.addEventListener("abort", close, { once: true });
    if (signal.aborted) close();
    try {
      const source = await this.#source(session, request, gate);
      if (!("type" in source)) yield* confirmedFrames(source, gate, this.#clock, boot, request, signal);
      else yield source.type === "left" ? UNBEGUN : source;
    } finally {
      signal.removeEventListener("abort", close);
      close();
      if (this.#gates.get(turnId) === gate) this.#gates.delete(turnId);
    }
  }

  async call(request: CallRequest): Promise<CallAnswer> {
    const { key, method, args, claim } = request;
    const node = this.#node();
    if (node === undefined) return { type: "not_owner" };
    if (method === "eraseFiles") return await eraseFiles(node, request);
    if (method === "activities") return { type: "answer", value: node.activities() };
    const found = await this.#find(key, claim);
    if (!("session" in found)) return found.type === "refused" ? { type: "failed", error: found.error } : found;
    try {
      return { type: "answer", value: (await this.#answer(node, key, found.session, method, args)) ?? null };
    } catch (error) {
      if (
        CastellanError.is(error) &&
        CONTINUES_ELSEWHERE.has(error.code) &&
        !(await stillOwned(node, key, found.boot, error))
      ) {
        return { type: "not_owner" };
      }
      return { type: "failed", error: sentErrorOf(error) };
    }
  }

  async *events({ key, options }: EventsRequest, signal: AbortSignal): AsyncGenerator<EventFrame, void, undefined> {
    const found = await this.#find(key, true);
    if (!("session" in found)) {
      yield found;
      return;
    }
    try {
      let { after } = options;
      if (after === undefined && options.live !== false) {
        after = await found.session.lastEvent();
        yield { type: "begins", after };
      }
      yield* framesOfEvents(found.session.events({ ...options, ...withoutUndefined({ after }) }), signal);
    } catch (error) {
      if (!CastellanError.is(error)) throw error;
      yield CONTINUES_ELSEWHERE.has(error.code)
        ? { type: "not_owner" }
        : { type: "refused", error: sentErrorOf(error) };
    }
  }

  async #answer(
    node: AskedNode,
    key: string,
    session: HostedSession,
    method: Exclude<CallMethod, "eraseFiles" | "activities">,
    args: readonly unknown[],
  ): Promise<unknown> {
    const [first] = args;
    switch (method) {
      case "begin":
        return this.#gates.get(String(first))?.open() ?? false;
      case "cancel":
        this.#remember(String(first));
        return await session.cancel(String(first));
      case "release":
        if (first === "idle" && node.activityOf(key) === "busy") return "busy";
        return await node.release(key, MOVE_MS);
      case "stop":
      case "erase": {
        const answer = await session.call(method, args);
        await node.release(key, 0);
        return answer;
      }
      default:
        return await session.call(method, args);
    }
  }

  async #find(
    key: string,
    claim: boolean,
  ): Promise<Found | (TurnFrame & { readonly type: "not_owner" }) | (TurnFrame & { readonly type: "refused" })> {
    try {
      const found = await this.#lookUp(key, claim);
      if (found.owned) return { ...found, pool: found.pool === true };
      const { owner } = found;
      if (owner === undefined || !owner.node.alive) return { type: "not_owner" };
      return { type: "not_owner", owner: { boot: owner.boot, address: owner.node.address } };
    } catch (error) {
      // The session is being stopped here right now.
      if (CastellanError.is(error) && CONTINUES_ELSEWHERE.has(error.code)) return { type: "not_owner" };
      return { type: "refused", error: sentErrorOf(error) };
    }
  }

  async #lookUp(key: string, claim: boolean): Promise<FoundSession> {
    const node = this.#node();
    if (node === undefined) return { owned: false };
    const pool = poolNameOf(key);
    return (pool === undefined ? undefined : node.pool(pool)) ?? (await node.find(key, claim));
  }

  async #source(
    session: HostedSession,
    { turnId, ask, known }: TurnRequest,
    gate?: TurnGate,
  ): Promise<TurnSource | TurnFrame> {
    try {
      if (ask !== undefined && known !== true) return await this.#ask(session, turnId, ask, gate);
      return (await session.turn(turnId)) ?? { type: "unknown" };
    } catch (error) {
      return refusal(error);
    }
  }

  async #ask(session: HostedSession, turnId: string, ask: TurnAsked, gate?: TurnGate): Promise<TurnSource> {
    this.#forgetOld();
    if (!this.#cancelled.has(turnId)) return session.ask(ask, gate);
    const present = await session.turn(turnId);
    if (present !== undefined) return present;
    const message = `turn ${turnId} was cancelled before it reached its session.`;
    throw new CastellanError("TURN_CANCELLED", message, { details: { turnId } });
  }

  #remember(turnId: string): void {
    this.#forgetOld();
    this.#cancelled.set(turnId, this.#clock.monotonic());
  }

  #forgetOld(): void {
    const until = this.#clock.monotonic() - CANCELLED_MS;
    for (const [turnId, at] of this.#cancelled) {
      if (at > until) return;
      this.#cancelled.delete(turnId);
    }
  }
}

async function eraseFiles(node: AskedNode, { key, args: [conversations, memory] }: CallRequest): Promise<CallAnswer> {
  const ids = Array.isArray(conversations) ? conversations.map(String) : [];
  return await node.eraseFiles(key, ids, memory === true).then(
    (value): CallAnswer => ({ type: "answer", value }),
    (error: unknown): CallAnswer => ({ type: "failed", error: sentErrorOf(error) }),
  );
}

/** Whether this run still owns the session, so that its error is the session's own. */
async function stillOwned(node: AskedNode, key: string, boot: string, { code }: CastellanError): Promise<boolean> {
  if (code === "NOT_OWNER") return false;
  return await node.find(key, false).then(
    (now) => now.owned && now.boot === boot,
    () => false,
  );
}

/** What a caller gets whose turn has not begun here, and never will. */
const UNBEGUN: TurnFrame = { type: "left", begun: false };

/** Yields the frames of a pool's turn: first that it could begin, and the others once the caller has confirmed it. */
async function* confirmedFrames(
  source: TurnSource,
  gate: TurnGate,
  clock: Clock,
  boot: string,
  request: TurnRequest,
  signal: AbortSignal,
): AsyncGenerator<TurnFrame, void, undefined> {
  yield foundFrame(source, boot, 0);
  const over = succeeds(source.result);
  if (await Promise.race([gate.reached.then(() => true), over])) yield { type: "ready" };
  let isLate = false;
  const late = clock.schedule(CONFIRM_MS, () => {
    isLate = !gate.isOpen;
    gate.close();
  });
  await Promise.race([gate.passed, over]);
  late.cancel();
  if (gate.isOpen) {
    yield* framesOf(source, boot, request, signal);
    return;
  }
  const isElsewhere = await source.result.then(() => false, continuesElsewhere);
  yield isLate || signal.aborted || isElsewhere ? UNBEGUN : await endOfTurn(source);
}

function continuesElsewhere(error: unknown): boolean {
  return CastellanError.is(error) && CONTINUES_ELSEWHERE.has(error.code);
}

/** Yields the frames of a turn, from the next message that the caller needs. Builds each frame on demand. */
async function* framesOf(
  source: TurnSource,
  boot: string,
  { after, messages }: TurnRequest,
  signal: AbortSignal,
): AsyncGenerator<TurnFrame, void, undefined> {
  let number = after !== undefined && isStillOf(source, boot, after) ? after.number : 0;
  const found = (): TurnFrame => foundFrame(source, boot, number);
  const { recalled } = source;
  yield found();
  const accepted = await succeeds(source.accepted);
  // Whether the turn had ended before is known only after a read of the journal.
  if (source.recalled && !recalled) yield found();
  if (accepted) yield { type: "accepted" };
  if (messages && !source.recalled) {
    try {
      for await (const batch of source.log.batches(number)) {
        if (signal.aborted) return;
        yield* byAttempt(source, number, batch);
        number += batch.length;
      }
    } catch (error) {
      if (CastellanError.is(error, "EVENTS_LOST")) {
        yield { type: "events_lost", oldest: error.details.oldest };
        return;
      }
      // Any other error is also the turn's result, which follows.
    }
  }
  yield await endOfTurn(source);
}

function foundFrame({ recalled, origin, by, metadata }: TurnSource, boot: string, number: number): TurnFrame {
  return { type: "found", boot, number, recalled, origin, ...withoutUndefined({ by, metadata }) };
}

async function succeeds(promise: Promise<unknown>): Promise<boolean> {
  return await promise.then(
    () => true,
    () => false,
  );
}

/** Whether the caller's message count refers to this life of the turn. */
function isStillOf(source: TurnSource, boot: string, after: NonNullable<TurnRequest["after"]>): boolean {
  return after.life === undefined ? after.boot === boot : after.life === source.life;
}

/** Splits a batch into one frame per attempt. */
function* byAttempt(
  source: TurnSource,
  first: number,
  batch: readonly SDKMessage[],
): Generator<TurnFrame & { readonly type: "messages" }> {
  for (let from = 0; from < batch.length; ) {
    const { life, attempt, number } = source.positionOf(first + from);
    let to = from + 1;
    while (to < batch.length && source.positionOf(first + to).attempt === attempt) to++;
    const promptId = attempt === source.attempts ? source.promptId : undefined;
    yield {
      type: "messages",
      life,
      number,
      attempt,
      ...withoutUndefined({ promptId }),
      messages: batch.slice(from, to),
    };
    from = to;
  }
}

async function endOfTurn(source: TurnSource): Promise<TurnFrame> {
  try {
    const reply = await source.result;
    return endFrame(source, { reply, output: reply.structured });
  } catch (thrown) {
    if (!CastellanError.is(thrown)) return refusal(thrown);
    if (source.left) return CONTINUES_ELSEWHERE.has(thrown.code) ? { type: "left" } : refusal(thrown);
    return endFrame(source, { error: thrown });
  }
}

function endFrame(source: TurnSource, end: TurnEnd): TurnFrame {
  const { state, attempts, touched, promptId } = source;
  if (!hasEnded(state)) throw new Error("the turn has a result but has not ended");
  const outcome = outcomeOf(end, source.shown);
  return { type: "end", state, attempts, touched, ...withoutUndefined({ promptId }), outcome };
}

/** Returns the frame for a turn that the session does not accept. */
function refusal(error: unknown): TurnFrame {
  if (CastellanError.is(error) && CONTINUES_ELSEWHERE.has(error.code)) return { type: "left" };
  return { type: "refused", error: sentErrorOf(error) };
}

/** Wraps events in frames. Leaves the reader when `signal` aborts. */
async function* framesOfEvents(
  events: AsyncGenerator<SessionEvent, void, undefined>,
  signal: AbortSignal,
): AsyncGenerator<EventFrame, void, undefined> {
  const leave = (): void => void events.return();
  signal.addEventListener("abort", leave, { once: true });
  if (signal.aborted) leave();
  try {
    for await (const event of events) yield { type: "event", event };
  } finally {
    signal.removeEventListener("abort", leave);
  }
}

import type { SDKMessage } from "@anthropic-ai/claude-agent-sdk";
import type { z } from "zod";
import { Progress } from "../claude/messages/progress.ts";
import type { ShownPiece } from "../claude/messages/shown.ts";
import { type Clock, pause, type Timer } from "../clock.ts";
import { formatDuration } from "../duration.ts";
import { CastellanError, isStorageFault, type PartialTurn } from "../errors.ts";
import { withoutUndefined } from "../fields.ts";
import { formatName, nameOfKey } from "../names.ts";
import type { EventPlace } from "../session/streams/event-id.ts";
import { EventLog } from "../session/streams/event-log.ts";
import { shownIn } from "../session/streams/kept-shown.ts";
import type { Reply } from "../session/streams/reply.ts";
import { endOf } from "../session/streams/turn-end.ts";
import type { TurnSource } from "../session/streams/turn-source.ts";
import { hasEnded, type TurnState } from "../session/streams/turn-state.ts";
import { errorOf, type TurnAsked, type TurnFrame } from "./protocol/frames.ts";
import { RETRY } from "./protocol/retry.ts";
import { type Destination, type Transport, Unreachable } from "./protocol/transport.ts";
import type { FailedRoute, Router } from "./router.ts";

export interface GlobalTurnDeps {
  readonly router: Router;
  readonly transport: Transport;
  readonly clock: Clock;
  /** A number from 0 to below 1, for jitter. */
  readonly random: () => number;
  /** How long a node that has the turn is looked for in vain, in milliseconds, before the caller is told. */
  readonly patienceMs: number;
  /** Stops the turn where it is, and does not give up before that is done or cannot be. */
  cancel(key: string, turnId: string): Promise<void>;
}

/** What a turn of a global session is. */
export interface GlobalTurnRequest {
  /** Canonical name of the session. */
  readonly key: string;
  readonly turnId: string;
  /** What is to be asked; left out for a turn that is there already. */
  readonly ask: TurnAsked | undefined;
  /** Whether somebody here has been told that it is accepted. */
  readonly known?: boolean;
  /** Whether anybody will read its messages. */
  readonly messages: boolean;
  /** What an answer that is data is read with. */
  readonly output: z.ZodType | undefined;
  readonly signal: AbortSignal | undefined;
}

/** By how much longer than the owner, whose word counts, the caller waits for the deadline. */
const GRACE_MS = 500;

/**
 * A turn of a session that lives on some node, as its caller sees it: follows it from node to node until it has ended. Asking
 * again is safe, because the turn is known by its key, so that it does not matter whether a node has got the question before it
 * was lost.
 */
export class GlobalTurn implements TurnSource {
  readonly id: string;
  readonly result: Promise<Reply>;
  readonly accepted: Promise<void>;
  readonly left = false;
  readonly log: EventLog<SDKMessage>;
  readonly #request: GlobalTurnRequest;
  readonly #deps: GlobalTurnDeps;
  readonly #who: string;
  readonly #settle: PromiseWithResolvers<Reply> = Promise.withResolvers();
  readonly #accept: PromiseWithResolvers<void> = Promise.withResolvers();
  readonly #found: PromiseWithResolvers<boolean> = Promise.withResolvers();
  readonly #connection = new AbortController();
  readonly #watches: Timer[] = [];
  #state: TurnState = "accepted";
  #recalled = false;
  #touched = false;
  #attempts = 0;
  #shown: readonly ShownPiece[] | undefined;
  /** The number in the log with which each attempt begins, and where its owner has that. */
  readonly #starts: { readonly number: number; readonly at: EventPlace }[] = [];
  #progress = new Progress();
  /** Of which run of a node, and of which life of the turn there, the last messages came, and how many it has sent. */
  #from: { readonly boot: string; life?: string; number: number } | undefined;
  /** Why the last node could not be reached. */
  #unreached: Unreachable | undefined;
  /** Since when no node has said anything of it, if that is so. */
  #silentSince: number | undefined;
  /** Whether messages that are still to come are wanted. */
  #wanted: boolean;

  constructor(request: GlobalTurnRequest, deps: GlobalTurnDeps) {
    this.id = request.turnId;
    this.#request = request;
    this.#deps = deps;
    this.#who = `global session ${formatName(nameOfKey(request.key))}, turn ${request.turnId}`;
    this.log = new EventLog(this.#who);
    this.result = this.#settle.promise;
    this.accepted = this.#accept.promise;
    // A caller may read the stream and never ask for the result.
    for (const promise of [this.result, this.accepted, this.found]) promise.catch(() => {});
    this.#silentSince = deps.clock.monotonic();
    this.#wanted = request.messages;
    this.#watch();
    void this.#follow();
  }

  get state(): TurnState {
    return this.#state;
  }

  get recalled(): boolean {
    return this.#recalled;
  }

  get touched(): boolean {
    return this.#touched || this.#progress.touched;
  }

  get attempts(): number {
    return this.#attempts;
  }

  /** Resolves with whether there is such a turn, as soon as a node says so. @throws CastellanError why none does */
  get found(): Promise<boolean> {
    return this.#found.promise;
  }

  get shown(): readonly ShownPiece[] | undefined {
    return this.#shown;
  }

  get life(): string | undefined {
    return this.#starts.at(-1)?.at.life;
  }

  /** Where its owner has it, which is the same for whoever follows it, on whichever node. */
  placeOf(number: number): EventPlace {
    const start = this.#starts.findLast((one) => one.number <= number);
    if (start === undefined) return { life: "", attempt: Math.max(1, this.#attempts), number };
    return { ...start.at, number: start.at.number + number - start.number };
  }

  /** Stops it; resolves when it has ended. */
  async interrupt(): Promise<void> {
    if (hasEnded(this.#state)) return;
    const stopped = this.#deps.cancel(this.#request.key, this.id);
    stopped.catch((error: unknown) => this.#fail(CastellanError.is(error) ? error : this.#unavailable(error)));
    await this.result.then(
      () => {},
      () => {},
    );
  }

  async #follow(): Promise<void> {
    const { clock, patienceMs, random } = this.#deps;
    let failed: FailedRoute | undefined;
    let delay: number = RETRY.first;
    while (!hasEnded(this.#state)) {
      let failure: unknown;
      try {
        failed = await this.#ask(failed);
      } catch (error) {
        failure = error;
        if (!isPassing(error)) return this.#fail(CastellanError.is(error) ? error : this.#unavailable(error));
      }
      if (hasEnded(this.#state)) return;
      if (this.#silentSince === undefined) delay = RETRY.first;
      this.#silentSince ??= clock.monotonic();
      if (clock.monotonic() - this.#silentSince >= patienceMs) {
        return this.#fail(CastellanError.is(failure) ? failure : this.#unavailable(this.#unreached));
      }
      await pause(clock, this.#retryInMs(failed, delay * (0.5 + random())), { signal: this.#connection.signal });
      delay = Math.min(RETRY.most, delay * RETRY.factor);
    }
  }

  /** When it is worth while to ask again: at the latest as soon as the node that did not answer can have lost the session. */
  #retryInMs(failed: FailedRoute | undefined, usualMs: number): number {
    const left = failed === undefined || failed.answered ? undefined : this.#deps.router.deadInMs(failed.boot);
    return left === undefined ? usualMs : Math.min(usualMs, Math.max(RETRY.first, left));
  }

  /** Asks the node that has the session, and listens until the turn has ended, or the node does not answer any more. */
  async #ask(failed: FailedRoute | undefined): Promise<FailedRoute | undefined> {
    const { router, transport } = this.#deps;
    const { key, turnId, ask } = this.#request;
    const { to, claim, pool } = await router.locate(key, failed);
    const known = this.#isKnown && !pool ? { known: true } : {};
    const request = { key, turnId, messages: this.#wanted, claim, ...known, ...withoutUndefined({ ask }) };
    const after = this.#from === undefined ? {} : { after: { ...this.#from } };
    const silentSince = this.#silentSince;
    try {
      for await (const frame of transport.turn(to, { ...request, ...after }, this.#connection.signal)) {
        if (hasEnded(this.#state)) return undefined;
        if (frame.type === "not_owner") {
          router.forget(key, to.boot);
          if (frame.owner !== undefined) router.learn(key, frame.owner.boot);
          return { boot: to.boot, answered: frame.owner === undefined };
        }
        if (frame.type === "left") {
          if (pool) return this.#lostMember(to);
          router.forget(key, to.boot);
          return { boot: to.boot, answered: true };
        }
        // Its node cannot say whether it is accepted; asked again it may be able to.
        if (frame.type === "refused" && !pool && isPassing(errorOf(frame.error))) {
          this.#silentSince = silentSince;
          throw errorOf(frame.error);
        }
        this.#silentSince = undefined;
        if (frame.type === "found") router.learn(key, to.boot);
        this.#take(frame);
      }
      return pool ? this.#lostMember(to) : { boot: to.boot, answered: false };
    } catch (error) {
      if (!(error instanceof Unreachable) || error.hopeless) throw error;
      this.#unreached = error;
      return pool && !error.unsent ? this.#lostMember(to) : { boot: to.boot, answered: false };
    }
  }

  /** A turn of a pool is nobody's who could go on with it. */
  #lostMember({ boot, address }: Destination): FailedRoute {
    const message = `${this.#who}: the node at ${address} that ran it for the pool went away; \`details\` has what had arrived.`;
    const error = new CastellanError("TURN_INTERRUPTED", message, { details: this.#partial });
    this.#end("interrupted", () => this.#reject(error));
    return { boot, answered: false };
  }

  #take(frame: Exclude<TurnFrame, { readonly type: "not_owner" | "left" }>): void {
    switch (frame.type) {
      case "found":
        this.#found.resolve(true);
        // The same run of a node may have taken the turn up anew.
        if (this.#from?.boot !== frame.boot || this.#from.number !== frame.number) {
          this.#from = { boot: frame.boot, number: frame.number };
        }
        if (frame.recalled) this.#recall();
        return;
      case "accepted":
        if (this.#state === "accepted") this.#state = "queued";
        this.#accept.resolve();
        return;
      case "messages":
        this.#append(frame);
        return;
      case "end": {
        this.#attempts = Math.max(this.#attempts, frame.attempts);
        this.#touched = frame.touched;
        const end = endOf(frame.outcome, this.#who, this.#request.output);
        if (this.#recalled) this.#shown = shownIn(frame.outcome, end);
        // Whoever has read a part of it cannot be given the rest.
        if (this.#recalled && "reply" in end) this.log.end(this.#lost(0));
        if ("error" in end) this.#end(frame.state, () => this.#reject(this.#completed(end.error)));
        else this.#end(frame.state, () => this.#resolve(end.reply));
        return;
      }
      case "unknown":
        if (!this.#isKnown) this.#found.resolve(false);
        this.#fail(this.#isKnown ? this.#forgotten() : this.#unknown());
        return;
      case "refused":
        this.#fail(errorOf(frame.error));
        return;
      case "events_lost":
        this.#wanted = false;
        this.log.end(this.#lost(frame.oldest));
        return;
    }
  }

  /**
   * An error with what has been seen of the turn here: of what its owner told in its last moments the next one may know nothing.
   */
  #completed(error: CastellanError): CastellanError {
    if (!CastellanError.is(error, "TURN_INTERRUPTED")) return error;
    const { details, message, cause } = error;
    const { partialText, toolUses } = this.#partial;
    const known = new Set(details.toolUses.map(({ id }) => id));
    const all = {
      ...details,
      partialText: partialText.length > details.partialText.length ? partialText : details.partialText,
      toolUses: [...details.toolUses, ...toolUses.filter(({ id }) => !known.has(id))],
    };
    return new CastellanError("TURN_INTERRUPTED", message, { details: all, cause });
  }

  #append({ number, attempt, messages, life }: TurnFrame & { readonly type: "messages" }): void {
    const from = this.#from;
    if (from === undefined || number > from.number) return;
    // An older node takes a turn up again in another run only.
    const at = { life: life ?? from.boot, attempt, number: from.number };
    if (attempt > this.#attempts || this.life !== at.life) {
      this.#attempts = Math.max(this.#attempts, attempt);
      this.#starts.push({ at, number: this.log.length });
      this.#touched ||= this.#progress.touched;
      this.#progress = new Progress();
    }
    if (life !== undefined) from.life = life;
    if (this.#state === "accepted" || this.#state === "queued") this.#state = "running";
    for (const message of messages.slice(from.number - number)) {
      this.#progress.add(message);
      this.log.append(message);
    }
    from.number = Math.max(from.number, number + messages.length);
  }

  /** It had ended before it was asked for there; what came of it is told next. */
  #recall(): void {
    this.#recalled = true;
    this.#accept.resolve();
  }

  #resolve(reply: Reply): void {
    this.#accept.resolve();
    this.#settle.resolve(reply);
    this.log.end();
  }

  #reject(error: CastellanError): void {
    this.#found.reject(error);
    this.#accept.reject(error);
    this.#settle.reject(error);
    this.log.end(error);
  }

  #fail(error: CastellanError): void {
    const as = this.#state === "running" ? "interrupted" : "cancelled";
    this.#end(as, () => this.#reject(error));
  }

  #end(as: TurnState, settle: () => void): void {
    if (hasEnded(this.#state)) return;
    this.#state = as;
    for (const watch of this.#watches.splice(0)) watch.cancel();
    settle();
    this.#connection.abort();
  }

  /** The caller's own deadline and signal: they end the call, wherever the turn is. */
  #watch(): void {
    const { ask, signal } = this.#request;
    const { clock } = this.#deps;
    if (ask?.timeoutMs !== undefined) {
      const { timeoutMs } = ask;
      this.#watches.push(clock.schedule(timeoutMs + GRACE_MS, () => this.#stop("timed_out", this.#late(timeoutMs))));
    }
    if (signal === undefined) return;
    const abort = (): void => {
      const running = this.#state === "running";
      this.#stop(running ? "interrupted" : "cancelled", this.#aborted(running, signal.reason));
    };
    signal.addEventListener("abort", abort, { once: true });
    this.#watches.push({ cancel: () => signal.removeEventListener("abort", abort) });
  }

  #stop(as: TurnState, error: CastellanError): void {
    if (hasEnded(this.#state)) return;
    this.#end(as, () => this.#reject(error));
    void this.#deps.cancel(this.#request.key, this.id).catch(() => {});
  }

  get #partial(): PartialTurn {
    const toolUses = this.#progress.toolUses.map(({ id, name }) => ({ id, name }));
    return { turnId: this.id, partialText: this.#progress.text, toolUses };
  }

  #unavailable(cause: unknown): CastellanError<"CLUSTER_UNAVAILABLE"> {
    const why = cause instanceof Error ? ` (${cause.message})` : "";
    const tried =
      cause instanceof Unreachable && cause.hopeless
        ? `its node cannot be asked: ${cause.message}`
        : `no node that has the session could be reached for ${formatDuration(this.#deps.patienceMs)}${why}.`;
    const kept =
      this.#state === "accepted"
        ? "It is not known whether it was accepted; asked again with the same `idempotencyKey` it is the same turn."
        : "It is in the journal, and goes on as soon as a node has its session: `turn(id)` finds it.";
    const message = `${this.#who}: ${tried} ${kept}`;
    return new CastellanError("CLUSTER_UNAVAILABLE", message, { details: { reason: "unreachable" }, cause });
  }

  /** Whether it has been accepted, as far as is known here. */
  get #isKnown(): boolean {
    return this.#request.known === true || this.#state !== "accepted";
  }

  #forgotten(): CastellanError<"TURN_LOST"> {
    const message = `${this.#who}: it was accepted, and the database does not know it any more: it has failed over to a replica that lacked it, or was put back to a backup. Nobody knows how far it came; \`details\` has what had arrived. Ask again if it may be done twice.`;
    return new CastellanError("TURN_LOST", message, { details: this.#partial });
  }

  #unknown(): CastellanError<"TURN_CANCELLED"> {
    const message = `${this.#who}: there is no such turn.`;
    return new CastellanError("TURN_CANCELLED", message, { details: { turnId: this.id } });
  }

  #lost(oldest: number): CastellanError<"EVENTS_LOST"> {
    const message = `${this.#who}: messages are no longer there, only what came of it; see \`result()\`.`;
    return new CastellanError("EVENTS_LOST", message, { details: { oldest } });
  }

  #late(timeoutMs: number): CastellanError<"TURN_TIMEOUT"> {
    const message = `${this.#who}: it took longer than ${formatDuration(timeoutMs)}; \`details\` has what had arrived.`;
    return new CastellanError("TURN_TIMEOUT", message, { details: { ...this.#partial, timeoutMs } });
  }

  #aborted(running: boolean, cause: unknown): CastellanError {
    if (running) {
      const message = `${this.#who}: it was stopped by its signal; \`details\` has what had arrived.`;
      return new CastellanError("TURN_INTERRUPTED", message, { details: this.#partial, cause });
    }
    const message = `${this.#who}: it was cancelled before it ran.`;
    return new CastellanError("TURN_CANCELLED", message, { details: { turnId: this.id }, cause });
  }
}

/** Whether it may be otherwise in a moment. */
function isPassing(error: unknown): boolean {
  return CastellanError.is(error, "CLUSTER_UNAVAILABLE") || isStorageFault(error);
}

import type { SDKMessage } from "@anthropic-ai/claude-agent-sdk";
import type { z } from "zod";
import { Progress } from "../claude/messages/progress.ts";
import type { ShownPiece } from "../claude/messages/shown.ts";
import { type Clock, pause, type Timer } from "../clock.ts";
import { formatDuration } from "../duration.ts";
import { CastellanError, isStorageFault, type PartialTurn } from "../errors.ts";
import type { TurnOrigin } from "../events.ts";
import { withoutUndefined } from "../fields.ts";
import type { JsonObject } from "../journal/model/session-entry.ts";
import { formatName, nameOfKey } from "../names.ts";
import type { EventPosition } from "../session/streams/event-id.ts";
import { EventLog } from "../session/streams/event-log.ts";
import { shownIn } from "../session/streams/kept-shown.ts";
import type { Reply } from "../session/streams/reply.ts";
import { endOf } from "../session/streams/turn-end.ts";
import type { TurnSource } from "../session/streams/turn-source.ts";
import { hasEnded, type TurnState } from "../session/streams/turn-state.ts";
import { errorOf, type TurnAsked, type TurnFrame } from "./protocol/frames.ts";
import { RETRY } from "./protocol/retry.ts";
import { type Destination, type Transport, Unreachable } from "./protocol/transport.ts";
import type { FailedRoute, Routing } from "./router.ts";

export interface GlobalTurnDeps {
  readonly router: Routing;
  readonly transport: Transport;
  readonly clock: Clock;
  /** Returns a number in [0, 1), for jitter. */
  readonly random: () => number;
  /** How long to look for the turn's node before the turn fails, in milliseconds. */
  readonly patienceMs: number;
  /** Stops the turn on its node. Retries until the turn is stopped or cannot be. */
  cancel(key: string, turnId: string): Promise<void>;
}

/** A turn of a global session. */
export interface GlobalTurnRequest {
  /** Canonical name of the session. */
  readonly key: string;
  readonly turnId: string;
  /** What to send. Left out for an existing turn. */
  readonly ask: TurnAsked | undefined;
  /** Whether a local caller knows that the turn was accepted. */
  readonly known?: boolean;
  /** Whether the caller reads the turn's messages. */
  readonly messages: boolean;
  /** Schema for structured output. */
  readonly output: z.ZodType | undefined;
  readonly signal: AbortSignal | undefined;
}

/** How much longer than the owner the caller waits for the deadline: the owner's verdict counts. */
const GRACE_MS = 500;

/**
 * A turn of a session on some node, as its caller sees it. It follows the turn from node to node until the turn ends.
 * Sending the turn again is safe: its id makes it idempotent, so it does not matter whether a lost node had received
 * it.
 */
export class GlobalTurn implements TurnSource {
  readonly id: string;
  readonly result: Promise<Reply>;
  readonly accepted: Promise<void>;
  readonly left = false;
  continues = false;
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
  #origin: TurnOrigin = "caller";
  #by: string | undefined;
  #metadata: JsonObject | undefined;
  #promptId: string | undefined;
  #shown: readonly ShownPiece[] | undefined;
  /** The log number at which each attempt begins, and the owner's position of that message. */
  readonly #starts: { readonly number: number; readonly at: EventPosition }[] = [];
  #progress = new Progress();
  /** The run of a node and the life of the turn that sent the last messages, and how many they sent. */
  #from: { readonly boot: string; life?: string; number: number } | undefined;
  /** Why the last node could not be reached. */
  #unreached: Unreachable | undefined;
  /** Since when no node has answered; undefined while one does. */
  #silentSince: number | undefined;
  /** Whether the last node may have begun the turn, if it is one of a pool. */
  #mayHaveBegun = false;
  /** Resolves once the last node has been told to begin the turn, or could not be. */
  #confirming: Promise<void> = Promise.resolve();
  /** Whether further messages are wanted. */
  #wanted: boolean;

  constructor(request: GlobalTurnRequest, deps: GlobalTurnDeps) {
    this.id = request.turnId;
    this.#request = request;
    this.#by = request.ask?.by;
    this.#metadata = request.ask?.metadata;
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

  get origin(): TurnOrigin {
    return this.#origin;
  }

  get by(): string | undefined {
    return this.#by;
  }

  get metadata(): JsonObject | undefined {
    return this.#metadata;
  }

  get promptId(): string | undefined {
    return this.#promptId;
  }

  get attempts(): number {
    return this.#attempts;
  }

  /** Resolves with whether the turn exists, once a node says so. @throws CastellanError why no node does */
  get found(): Promise<boolean> {
    return this.#found.promise;
  }

  get shown(): readonly ShownPiece[] | undefined {
    return this.#shown;
  }

  get life(): string | undefined {
    return this.#starts.at(-1)?.at.life;
  }

  /** Returns the owner's position of a message, which is the same for every caller on every node. */
  positionOf(number: number): EventPosition {
    const start = this.#starts.findLast((one) => one.number <= number);
    if (start === undefined) return { life: "", attempt: Math.max(1, this.#attempts), number };
    return { ...start.at, number: start.at.number + number - start.number };
  }

  /** Stops the turn. Resolves once it has ended. */
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
        if (!isTransient(error)) return this.#fail(CastellanError.is(error) ? error : this.#unavailable(error));
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

  /** Returns the delay before the next attempt: at most until the silent node can have lost the session. */
  #retryInMs(failed: FailedRoute | undefined, usualMs: number): number {
    const left = failed === undefined || failed.answered ? undefined : this.#deps.router.deadInMs(failed.boot);
    return left === undefined ? usualMs : Math.min(usualMs, Math.max(RETRY.first, left));
  }

  /** Sends the turn to the session's node and reads its frames until the turn ends or the node goes silent. */
  async #ask(failed: FailedRoute | undefined): Promise<FailedRoute | undefined> {
    const { router, transport } = this.#deps;
    const { key, turnId, ask } = this.#request;
    const { to, claim, pool, confirms } = await router.locate(key, failed);
    const known = this.#isKnown && !pool ? { known: true } : {};
    const confirm = confirms && ask !== undefined ? { confirm: true } : {};
    const request = { key, turnId, messages: this.#wanted, claim, ...known, ...confirm, ...withoutUndefined({ ask }) };
    this.#mayHaveBegun = confirm.confirm !== true;
    this.#confirming = Promise.resolve();
    const after = this.#from === undefined ? {} : { after: { ...this.#from } };
    const silentSince = this.#silentSince;
    const asked = this.#deps.clock.monotonic();
    const attempt = new AbortController();
    const signal = AbortSignal.any([this.#connection.signal, attempt.signal]);
    try {
      for await (const frame of transport.turn(to, { ...request, ...after }, signal)) {
        if (hasEnded(this.#state)) return undefined;
        if (frame.type === "not_owner") {
          router.forget(key, to.boot);
          if (frame.owner !== undefined) router.learn(key, frame.owner.boot);
          return { boot: to.boot, answered: frame.owner === undefined };
        }
        if (frame.type === "ready") {
          this.#confirming = this.#confirm(to, attempt);
          continue;
        }
        if (frame.type === "left") {
          if (pool && frame.begun === false) {
            // Nodes that answer and never begin the turn use up the caller's patience as silent ones do.
            const { clock, patienceMs } = this.#deps;
            if (clock.monotonic() - asked < patienceMs) this.#silentSince = silentSince ?? asked;
            return { boot: to.boot, answered: false };
          }
          if (pool) return await this.#lostMember(to);
          router.forget(key, to.boot);
          return { boot: to.boot, answered: true };
        }
        // The node cannot say whether the turn is accepted. It may know on the next attempt.
        if (frame.type === "refused" && !pool && isTransient(errorOf(frame.error))) {
          this.#silentSince = silentSince;
          throw errorOf(frame.error);
        }
        this.#silentSince = undefined;
        if (frame.type === "found") router.learn(key, to.boot);
        this.#take(frame);
      }
      return pool ? await this.#lostMember(to) : { boot: to.boot, answered: false };
    } catch (error) {
      if (attempt.signal.aborted) return { boot: to.boot, answered: false };
      if (!(error instanceof Unreachable) || error.permanent) throw error;
      this.#unreached = error;
      return pool && !error.unsent ? await this.#lostMember(to) : { boot: to.boot, answered: false };
    }
  }

  /**
   * Lets a pool's turn begin on this node. From here on, no other node may get it, unless the node certainly has not heard of
   * that, or refuses.
   */
  async #confirm(to: Destination, attempt: AbortController): Promise<void> {
    const request = { key: this.#request.key, method: "begin", args: [this.id], claim: false } as const;
    this.#mayHaveBegun = true;
    try {
      const answer = await this.#deps.transport.call(to, request, this.#connection.signal);
      this.#mayHaveBegun = answer.type === "answer" && answer.value === true;
    } catch (error) {
      this.#mayHaveBegun = !(error instanceof Unreachable && error.unsent);
    }
    if (!this.#mayHaveBegun) attempt.abort();
  }

  /** Ends a pool's turn whose node is gone, unless it certainly had not begun: then another node gets it. */
  async #lostMember({ boot, address }: Destination): Promise<FailedRoute> {
    await this.#confirming;
    if (!this.#mayHaveBegun) return { boot, answered: false };
    const message = `${this.#who}: the pool's node at ${address} went away during the turn. \`details\` holds the output so far.`;
    const error = new CastellanError("TURN_INTERRUPTED", message, { details: this.#partial });
    this.#end("interrupted", () => this.#reject(error));
    return { boot, answered: false };
  }

  #take(frame: Exclude<TurnFrame, { readonly type: "not_owner" | "left" | "ready" }>): void {
    switch (frame.type) {
      case "found":
        this.#origin = frame.origin ?? this.#origin;
        this.#by = frame.by ?? this.#by;
        this.#metadata = frame.metadata ?? this.#metadata;
        this.#found.resolve(true);
        // The same run may have resumed the turn anew.
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
        this.#promptId = frame.promptId ?? this.#promptId;
        const end = endOf(frame.outcome, this.#who, this.#request.output);
        if (this.#recalled) this.#shown = shownIn(frame.outcome, end);
        // A reader that has seen a part of the log cannot get the rest.
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

  /** Returns the error with the output that arrived here: the next owner may not know the last output of a lost one. */
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

  #append({ number, attempt, messages, life, promptId }: TurnFrame & { readonly type: "messages" }): void {
    const from = this.#from;
    if (from === undefined || number > from.number) return;
    // A node of an earlier release sends no life: it resumes a turn only in another run.
    const at = { life: life ?? from.boot, attempt, number: from.number };
    if (attempt > this.#attempts || this.life !== at.life) {
      this.#attempts = Math.max(this.#attempts, attempt);
      this.#starts.push({ at, number: this.log.length });
      this.#touched ||= this.#progress.touched;
      this.#progress = new Progress();
    }
    if (life !== undefined) from.life = life;
    this.#promptId = promptId ?? this.#promptId;
    if (this.#state === "accepted" || this.#state === "queued") this.#state = "running";
    for (const message of messages.slice(from.number - number)) {
      this.#progress.add(message);
      this.log.append(message);
    }
    from.number = Math.max(from.number, number + messages.length);
  }

  /** The turn had ended before this call. The end frame follows. */
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
    // The nodes continue a turn that only this process no longer reaches.
    this.continues = this.#isKnown && CastellanError.is(error, "CLUSTER_UNAVAILABLE");
    this.#end(as, () => this.#reject(error));
  }

  #end(as: TurnState, settle: () => void): void {
    if (hasEnded(this.#state)) return;
    this.#state = as;
    for (const watch of this.#watches.splice(0)) watch.cancel();
    settle();
    this.#connection.abort();
  }

  /** The caller's own deadline and signal end the call, wherever the turn runs. */
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
      cause instanceof Unreachable && cause.permanent
        ? `its node refuses it: ${cause.message}`
        : `no node of the session answered for ${formatDuration(this.#deps.patienceMs)}${why}.`;
    const kept =
      this.#state === "accepted"
        ? "It may or may not have been accepted. Send it again with the same `idempotencyKey`: that is the same turn."
        : "It is in the journal and continues once a node owns the session. `turn(id)` finds it.";
    const message = `${this.#who}: ${tried} ${kept}`;
    return new CastellanError("CLUSTER_UNAVAILABLE", message, { details: { reason: "unreachable" }, cause });
  }

  /** Whether the turn was accepted, as far as this process knows. */
  get #isKnown(): boolean {
    return this.#request.known === true || this.#state !== "accepted";
  }

  #forgotten(): CastellanError<"TURN_LOST"> {
    const message = `${this.#who}: the database has lost the accepted turn: it failed over to a replica without it, or was restored from a backup. The turn may have run in part; \`details\` holds the output so far. Send it again if it may run twice.`;
    return new CastellanError("TURN_LOST", message, { details: this.#partial });
  }

  #unknown(): CastellanError<"TURN_CANCELLED"> {
    const message = `${this.#who}: the turn does not exist.`;
    return new CastellanError("TURN_CANCELLED", message, { details: { turnId: this.id } });
  }

  #lost(oldest: number): CastellanError<"EVENTS_LOST"> {
    const message = `${this.#who}: the messages are gone. \`result()\` has the outcome.`;
    return new CastellanError("EVENTS_LOST", message, { details: { oldest } });
  }

  #late(timeoutMs: number): CastellanError<"TURN_TIMEOUT"> {
    const message = `${this.#who}: the turn took longer than ${formatDuration(timeoutMs)}. \`details\` holds the output so far.`;
    return new CastellanError("TURN_TIMEOUT", message, { details: { ...this.#partial, timeoutMs } });
  }

  #aborted(running: boolean, cause: unknown): CastellanError {
    if (running) {
      const message = `${this.#who}: its signal stopped the turn. \`details\` holds the output so far.`;
      return new CastellanError("TURN_INTERRUPTED", message, { details: this.#partial, cause });
    }
    const message = `${this.#who}: the turn was cancelled before it ran.`;
    return new CastellanError("TURN_CANCELLED", message, { details: { turnId: this.id }, cause });
  }
}

/** Whether a retry may succeed. */
function isTransient(error: unknown): boolean {
  return CastellanError.is(error, "CLUSTER_UNAVAILABLE") || isStorageFault(error);
}

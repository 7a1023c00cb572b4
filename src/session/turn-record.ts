import type { SDKMessage } from "@anthropic-ai/claude-agent-sdk";
import type { z } from "zod";
import type { Timer } from "../clock.ts";
import type { CastellanError, PartialTurn } from "../errors.ts";
import { EventLog } from "./event-log.ts";
import type { Reply } from "./reply.ts";
import { Progress } from "./transcript.ts";

import { type EndedTurnState, hasEnded, nextTurnState, type TurnEvent, type TurnState } from "./turn-state.ts";

/** What of a turn's settings it carries along. */
interface TurnRequest {
  readonly output?: z.ZodType | undefined;
  readonly queueTimeoutMs?: number;
}

/** A turn as its session sees it. Callers hold a `Turn`, which shows what they may see of it. */
export class TurnRecord {
  readonly id: string;
  readonly prompt: string;
  /** What an answer that is data is read with. */
  readonly output: z.ZodType | undefined;
  readonly queueTimeoutMs: number;
  readonly log: EventLog<SDKMessage>;
  readonly result: Promise<Reply>;
  /** How often it has been handed to a process. */
  attempts = 0;
  /** The number in the log with which each attempt begins. */
  readonly #starts: number[] = [];
  #state: TurnState = "accepted";
  #progress = new Progress();
  /** What watches the clock and the signal for this turn. */
  readonly #watches: Timer[] = [];
  readonly #settle: PromiseWithResolvers<Reply> = Promise.withResolvers();

  /** `who` is the session, for messages. */
  constructor(
    id: string,
    prompt: string,
    who: string,
    { output, queueTimeoutMs = Number.POSITIVE_INFINITY }: TurnRequest = {},
  ) {
    this.id = id;
    this.prompt = prompt;
    this.output = output;
    this.queueTimeoutMs = queueTimeoutMs;
    this.log = new EventLog(`${who}, turn ${id}`);
    this.result = this.#settle.promise;
    // A caller may read the stream and never ask for the result.
    this.result.catch(() => {});
  }

  get state(): TurnState {
    return this.#state;
  }

  get ended(): boolean {
    return hasEnded(this.#state);
  }

  /** What has come of the current attempt. */
  get progress(): Progress {
    return this.#progress;
  }

  get partial(): PartialTurn {
    const toolUses = this.#progress.toolUses.map(({ id, name }) => ({ id, name }));
    return { turnId: this.id, partialText: this.#progress.text, toolUses };
  }

  /** Keeps a watch until the turn ends. */
  watch(watch: Timer): void {
    this.#watches.push(watch);
  }

  enqueued(): void {
    this.#advance({ type: "enqueue" });
  }

  started(): void {
    if (!this.#advance({ type: "run" })) return;
    this.attempts++;
    this.#starts.push(this.log.length);
  }

  /** Which attempt the message with this number is of, counted from 1. */
  attemptOf(number: number): number {
    return this.#starts.findLastIndex((start) => start <= number) + 1;
  }

  /** Forgets the attempt that was cut. */
  requeued(): void {
    if (this.#advance({ type: "requeue" })) this.#progress = new Progress();
  }

  append(message: SDKMessage): void {
    this.#progress.add(message);
    this.log.append(message);
  }

  complete(reply: Reply): void {
    if (!this.#end("completed")) return;
    this.#settle.resolve(reply);
    this.log.end();
  }

  fail(as: Exclude<EndedTurnState, "completed">, error: CastellanError): void {
    if (!this.#end(as)) return;
    this.#settle.reject(error);
    this.log.end(error);
  }

  #end(as: EndedTurnState): boolean {
    if (!this.#advance({ type: "end", as })) return false;
    for (const watch of this.#watches.splice(0)) watch.cancel();
    return true;
  }

  #advance(event: TurnEvent): boolean {
    const next = nextTurnState(this.#state, event);
    if (next !== undefined) this.#state = next;
    return next !== undefined;
  }
}

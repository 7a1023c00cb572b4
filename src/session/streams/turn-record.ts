import type { SDKMessage } from "@anthropic-ai/claude-agent-sdk";
import type { z } from "zod";
import { Progress } from "../../claude/messages/progress.ts";
import type { ShownPiece } from "../../claude/messages/shown.ts";
import type { Timer } from "../../clock.ts";
import { CastellanError, type ConversationFate, type PartialTurn } from "../../errors.ts";
import type { TurnOrigin } from "../../events.ts";
import { withoutUndefined } from "../../fields.ts";
import type { EndedTurnState, PromptKind, TurnEntry } from "../../journal/model/turn-entry.ts";
import type { EventPlace } from "./event-id.ts";
import { EventLog } from "./event-log.ts";
import type { Reply, TurnEnd } from "./reply.ts";
import { hasEnded, nextTurnState, type TurnEvent, type TurnState } from "./turn-state.ts";

/** What of a turn's settings it carries along. */
export interface TurnRequest {
  /** Default `"caller"`. */
  readonly origin?: TurnOrigin;
  /** Tells the numbers of this record's messages from those of another one of the same turn. */
  readonly life?: string;
  readonly output?: z.ZodType | undefined;
  /** Default `"text"`. */
  readonly promptKind?: PromptKind | undefined;
  readonly timeoutMs?: number | undefined;
  readonly queueTimeoutMs?: number | undefined;
  /** Whether somebody will come back for it, also after a restart of the application. */
  readonly durable?: boolean;
  /** In milliseconds since the epoch. */
  readonly acceptedAt?: number;
  /** The same on the clock that is never set, in milliseconds. */
  readonly since?: number;
  /** Its place among the turns that wait: the lowest goes first. */
  readonly position?: number;
  /** How often it had been handed to a process before the application was restarted. */
  readonly attempts?: number;
  /** Writes down what came of it; a reply is not given out before that is done. */
  readonly onEnd?: (record: TurnRecord, as: EndedTurnState, end: TurnEnd) => Promise<void>;
  /** Whether errors are not given out before either: somebody else may come to another end, if it cannot be written. */
  readonly shared?: boolean;
}

/** What the journal knows of a turn that waits. */
type Adopted = Pick<TurnEntry, "durable" | "position" | "attempts" | "acceptedAt" | "queueTimeoutMs"> & {
  readonly since: number;
};

/** A turn as its session sees it. Callers hold a `Turn`, which shows what they may see of it. */
export class TurnRecord {
  readonly id: string;
  /** Empty if Claude Code began it by itself. */
  readonly prompt: string;
  readonly origin: TurnOrigin;
  readonly promptKind: PromptKind;
  /** What an answer that is data is read with. */
  readonly output: z.ZodType | undefined;
  timeoutMs: number | undefined;
  queueTimeoutMs: number;
  durable: boolean;
  acceptedAt: number;
  /** When it was accepted on the clock that is never set: what its waits and times are counted from. */
  since: number;
  position: number;
  /** Whose numbers the messages in its log have. */
  readonly life: string;
  /** Whether the journal has been told of it, or had it already. Until then there is nothing to be written of it. */
  submitted = false;
  readonly log: EventLog<SDKMessage>;
  readonly result: Promise<Reply>;
  /** Resolves when it is in the journal; rejects if it could not be accepted, or ended before. */
  readonly accepted: Promise<void>;
  /** How often it has been handed to a process. */
  attempts: number;
  /** After how many attempts it had waited for longer than its `queueTimeoutMs`, if the process had it at that moment. */
  overdue: number | undefined;
  /** What it has cost, once that is known. */
  costUsd: number | undefined;
  /** What has become of it in the conversation, once that is known. */
  conversation: ConversationFate | undefined;
  /** The number in the log with which each attempt begins, and how many there were before the log. */
  readonly #starts: number[] = [];
  #before: number;
  readonly #who: string;
  readonly #onEnd: TurnRequest["onEnd"];
  readonly #shared: boolean;
  #state: TurnState = "accepted";
  /** Whether Claude had begun to answer or to act in a try that was cut. */
  #answeredBefore = false;
  /** What is known of what it had shown before this record was made, if it was over by then. */
  #recalled: readonly ShownPiece[] | undefined;
  #left = false;
  #recorded: Promise<void> = Promise.resolve();
  #progress = new Progress();
  /** What watches the clock and the signal for this turn. */
  readonly #watches: Timer[] = [];
  readonly #settle: PromiseWithResolvers<Reply> = Promise.withResolvers();
  readonly #accept: PromiseWithResolvers<void> = Promise.withResolvers();

  /** `who` is the session, for messages. */
  constructor(id: string, prompt: string, who: string, request: TurnRequest = {}) {
    this.id = id;
    this.prompt = prompt;
    this.origin = request.origin ?? "caller";
    this.promptKind = request.promptKind ?? "text";
    this.output = request.output;
    this.life = request.life ?? "";
    this.timeoutMs = request.timeoutMs;
    this.queueTimeoutMs = request.queueTimeoutMs ?? Number.POSITIVE_INFINITY;
    this.durable = request.durable ?? false;
    this.acceptedAt = request.acceptedAt ?? 0;
    this.since = request.since ?? 0;
    this.position = request.position ?? 0;
    this.attempts = request.attempts ?? 0;
    this.#before = this.attempts;
    this.#who = `${who}, turn ${id}`;
    this.#onEnd = request.onEnd;
    this.#shared = request.shared ?? false;
    this.log = new EventLog(this.#who);
    this.result = this.#settle.promise;
    this.accepted = this.#accept.promise;
    // A caller may read the stream and never ask for the result.
    for (const promise of [this.result, this.accepted]) promise.catch(() => {});
  }

  get state(): TurnState {
    return this.#state;
  }

  get ended(): boolean {
    return hasEnded(this.#state);
  }

  /** Whether it had ended before this record was made, and only what came of it is known. */
  get recalled(): boolean {
    return this.#recalled !== undefined;
  }

  /** What is known of what it has shown, if it was recalled. */
  get shown(): readonly ShownPiece[] | undefined {
    return this.#recalled;
  }

  /** What is known of what its last attempt has shown. */
  get known(): readonly ShownPiece[] {
    return this.#recalled ?? this.#progress.shown;
  }

  /** Whether it has ended only here, see {@link TurnRecord.leave}. */
  get left(): boolean {
    return this.#left;
  }

  /** Resolves when what came of it has been written down, as far as that was waited for. */
  get recorded(): Promise<void> {
    return this.#recorded;
  }

  /** What has come of the current attempt. */
  get progress(): Progress {
    return this.#progress;
  }

  /** Whether Claude has begun to answer or to act, in any try; of one that began before this record was made nobody knows. */
  get touched(): boolean {
    return this.recalled || this.#before > 0 || this.#answeredBefore || this.#progress.touched;
  }

  get partial(): PartialTurn {
    const toolUses = this.#progress.toolUses.map(({ id, name }) => ({ id, name }));
    const { costUsd, conversation } = this;
    return withoutUndefined({
      turnId: this.id,
      partialText: this.#progress.text,
      toolUses,
      costUsd,
      conversation,
    });
  }

  /** Keeps a watch until the turn ends. */
  watch(watch: Timer): void {
    this.#watches.push(watch);
  }

  enqueued(): void {
    if (this.#advance({ type: "enqueue" })) this.#accept.resolve();
  }

  started(): void {
    if (!this.#advance({ type: "run" })) return;
    this.attempts++;
    if (this.#starts.length < this.attempts - this.#before) this.#starts.push(this.log.length);
  }

  /** Which attempt the message with this number is of, counted from 1. */
  attemptOf(number: number): number {
    return this.#before + this.#starts.findLastIndex((start) => start <= number) + 1;
  }

  /** Where the message with this number stands. */
  placeOf(number: number): EventPlace {
    return { life: this.life, attempt: this.attemptOf(number), number };
  }

  /** Forgets the attempt that was cut. */
  requeued(): void {
    if (!this.#advance({ type: "requeue" })) return;
    this.#answeredBefore ||= this.#progress.touched;
    this.#progress = new Progress();
  }

  /** Makes as if it had not been handed out, because that has shown nothing of it. */
  putBack(): void {
    if (!this.#advance({ type: "requeue" })) return;
    this.attempts--;
    this.#progress = new Progress();
  }

  append(message: SDKMessage): void {
    this.#progress.add(message);
    this.log.append(message);
  }

  /** `output` is an answer that is data as Claude gave it. */
  complete(reply: Reply, output?: unknown): void {
    if (!this.#end("completed")) return;
    const give = (): void => {
      this.#settle.resolve(reply);
      this.log.end();
    };
    if (this.#onEnd === undefined || !this.submitted) give();
    else {
      this.#record("completed", { reply, output }, give);
    }
  }

  fail(as: Exclude<EndedTurnState, "completed">, error: CastellanError): void {
    if (this.#end(as)) this.#giveOut(as, error);
  }

  /** It ran when the application died, and is over. `shown` is what is known of it. */
  cutBefore(error: CastellanError, shown: readonly ShownPiece[]): void {
    if (!this.#advance({ type: "run" }) || !this.#end("interrupted")) return;
    this.#recalled = shown;
    this.#giveOut("interrupted", error);
  }

  /** Ends it for those who hold it here. What is in the journal stays as it is, and is taken up at the next start. */
  leave(error: CastellanError): void {
    if (!this.#end(this.#state === "running" ? "interrupted" : "cancelled")) return;
    this.#left = true;
    this.#reject(error);
  }

  /** It turns out to be one that waits in the journal, where another call has put it: what that call asked for counts. */
  adopt({ durable, position, attempts, ...times }: Required<Adopted> & Pick<TurnRequest, "timeoutMs">): void {
    for (const watch of this.#watches.splice(0)) watch.cancel();
    this.durable ||= durable;
    this.position = position;
    this.timeoutMs = times.timeoutMs;
    this.queueTimeoutMs = times.queueTimeoutMs;
    this.acceptedAt = times.acceptedAt;
    this.since = times.since;
    this.attempts = attempts;
    this.#before = attempts;
    this.submitted = true;
    this.enqueued();
  }

  /** It turns out to have ended before, in this way, after it had shown this. */
  recall(as: EndedTurnState, end: TurnEnd, shown: readonly ShownPiece[]): void {
    if (!this.#over({ type: "recall", as })) return;
    this.#recalled = shown;
    this.#accept.resolve();
    if ("error" in end) {
      this.#reject(end.error);
      return;
    }
    this.#settle.resolve(end.reply);
    const message = `${this.#who}: its messages are no longer kept, only its outcome; see \`result()\` and \`deltas()\`.`;
    this.log.end(new CastellanError("EVENTS_LOST", message, { details: { oldest: 0 } }));
  }

  #giveOut(as: Exclude<EndedTurnState, "completed">, error: CastellanError): void {
    const give = (): void => this.#reject(error);
    if (this.#onEnd === undefined || !this.submitted) give();
    else this.#record(as, { error }, this.#shared ? give : () => {});
    if (!this.#shared) give();
  }

  /** Writes down how it ended, and gives that out then; if the session is another's by now, it goes on there. */
  #record(as: EndedTurnState, end: TurnEnd, give: () => void): void {
    this.#recorded =
      this.#onEnd?.(this, as, end).then(give, (thrown: CastellanError) => {
        this.#left = true;
        this.#reject(thrown);
      }) ?? Promise.resolve();
  }

  #reject(error: CastellanError): void {
    this.#accept.reject(error);
    this.#settle.reject(error);
    this.log.end(error);
  }

  #end(as: EndedTurnState): boolean {
    return this.#over({ type: "end", as });
  }

  #over(event: TurnEvent & { readonly type: "end" | "recall" }): boolean {
    if (!this.#advance(event)) return false;
    for (const watch of this.#watches.splice(0)) watch.cancel();
    return true;
  }

  #advance(event: TurnEvent): boolean {
    const next = nextTurnState(this.#state, event);
    if (next !== undefined) this.#state = next;
    return next !== undefined;
  }
}

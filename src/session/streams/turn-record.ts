import type { SDKMessage } from "@anthropic-ai/claude-agent-sdk";
import type { z } from "zod";
import { BlockReader } from "../../claude/messages/block-reader.ts";
import { Progress } from "../../claude/messages/progress.ts";
import type { ShownPiece } from "../../claude/messages/shown.ts";
import type { Timer } from "../../clock.ts";
import { CastellanError, type ConversationFate, type ErrorCode, type PartialTurn } from "../../errors.ts";
import type { TurnOrigin } from "../../events.ts";
import { withoutUndefined } from "../../fields.ts";
import type { JsonObject } from "../../journal/model/session-entry.ts";
import type { EndedTurnState, PromptKind, TurnEntry } from "../../journal/model/turn-entry.ts";
import type { PromptBlock } from "../options/prompt-block.ts";
import type { EventPosition } from "./event-id.ts";
import { EventLog } from "./event-log.ts";
import type { FarTurn } from "./far-turn.ts";
import type { Reply, TurnEnd } from "./reply.ts";
import { Steers } from "./steers.ts";
import { hasEnded, nextTurnState, type TurnEvent, type TurnState } from "./turn-state.ts";

/** The settings that a turn carries along. */
export interface TurnRequest {
  /** Default `"caller"`. */
  readonly origin?: TurnOrigin;
  /** Distinguishes this record's numbering from that of another record of the same turn. */
  readonly life?: string;
  readonly output?: z.ZodType | undefined;
  readonly by?: string | undefined;
  readonly metadata?: JsonObject | undefined;
  /** Id of the prompt in the last attempt before the application restarted. */
  readonly promptId?: string | undefined;
  /** Default `"text"`. */
  readonly promptKind?: PromptKind | undefined;
  /** Left out if the prompt is a text. */
  readonly promptBlocks?: readonly PromptBlock[] | undefined;
  readonly timeoutMs?: number | undefined;
  readonly queueTimeoutMs?: number | undefined;
  /** Whether a caller may come back for it, also after a restart of the application. */
  readonly durable?: boolean;
  /** In milliseconds since the epoch. */
  readonly acceptedAt?: number;
  /** When it was accepted, in milliseconds on the monotonic clock. */
  readonly since?: number;
  /** Its position among the waiting turns; the lowest goes first. */
  readonly position?: number;
  /** How many attempts it had before the application restarted. */
  readonly attempts?: number;
  /** Writes the turn's end; the reply is held back until that is done. */
  readonly onEnd?: (record: TurnRecord, as: EndedTurnState, end: TurnEnd) => Promise<void>;
  /**
   * Whether errors are held back, too, because another application may end the turn differently if this end cannot be
   * written.
   */
  readonly shared?: boolean;
}

/** Codes with which a turn ends here because another application, or the next one, has the journal. */
const NEXT_APPLICATION: ReadonlySet<ErrorCode> = new Set(["SUPERVISOR_STOPPED", "NOT_OWNER"]);

/**
 * The `queueTimeoutMs` of a turn that waits as long as it takes. The journal stores only finite numbers, and a missing one means the
 * session's default.
 */
export const UNLIMITED_MS: number = Number.MAX_SAFE_INTEGER;

/** What the journal knows of a waiting turn. */
type Adopted = Pick<TurnEntry, "durable" | "position" | "attempts" | "acceptedAt" | "queueTimeoutMs"> & {
  readonly since: number;
};

/** What the call that put a turn into the journal decides, and what is known of its last attempt. */
type AdoptedOptions = Pick<TurnRequest, "timeoutMs" | "by" | "metadata" | "promptId">;

/** A turn as its session sees it. Callers get a `Turn`. */
export class TurnRecord {
  readonly id: string;
  /** The texts of a prompt of blocks. Empty if Claude Code began the turn by itself. */
  readonly prompt: string;
  /** The content of the prompt, if it is more than a text. */
  readonly promptBlocks: readonly PromptBlock[] | undefined;
  readonly origin: TurnOrigin;
  readonly promptKind: PromptKind;
  /** Parses a structured answer. */
  readonly output: z.ZodType | undefined;
  /** Who asked, as the caller says. */
  by: string | undefined;
  /** The caller's own data. */
  metadata: JsonObject | undefined;
  /** Id of its prompt in the last attempt, once there is one. */
  promptId: string | undefined;
  timeoutMs: number | undefined;
  queueTimeoutMs: number;
  durable: boolean;
  acceptedAt: number;
  /** When it was accepted, on the monotonic clock; its timeouts count from here. */
  since: number;
  position: number;
  /** Identifies the numbering of its log. */
  readonly life: string;
  /** Whether the journal has been told of it. Before that, nothing else is written about it. */
  submitted = false;
  /** Whether an earlier run of the application has accepted it, so that nobody waits for it. */
  isRestored = false;
  /** Whether the session's record has its `turn_accepted`. */
  isInRecord = false;
  /** The messages that it was given. */
  readonly steers: Steers = new Steers();
  readonly log: EventLog<SDKMessage>;
  readonly result: Promise<Reply>;
  /** Resolves once it is in the journal; rejects if it was not accepted, or ended earlier. */
  readonly accepted: Promise<void>;
  /** How many attempts it has had. */
  attempts: number;
  /** The number of attempts after which its `queueTimeoutMs` expired, if the process had it at that moment. */
  overdue: number | undefined;
  /** How often the API has refused it, since this record exists. */
  refusals = 0;
  /** Its cost, once known. */
  costUsd: number | undefined;
  /** Its fate in the conversation, once known. */
  conversation: ConversationFate | undefined;
  /** The log number at which each attempt begins, and how many attempts preceded the log. */
  readonly #starts: number[] = [];
  #before: number;
  readonly #who: string;
  readonly #onEnd: TurnRequest["onEnd"];
  readonly #shared: boolean;
  #state: TurnState = "accepted";
  /** Whether Claude had begun to answer or to act in an interrupted attempt. */
  #answeredBefore = false;
  /** The known output of a turn that had ended before this record existed. */
  #recalled: readonly ShownPiece[] | undefined;
  #left = false;
  #far: FarTurn | undefined;
  #continues = false;
  #recorded: Promise<void> = Promise.resolve();
  #progress = new Progress();
  #blocks = new BlockReader();
  /** The timers and signal listeners of this turn. */
  readonly #watches: Timer[] = [];
  readonly #settle: PromiseWithResolvers<Reply> = Promise.withResolvers();
  readonly #accept: PromiseWithResolvers<void> = Promise.withResolvers();

  /** `who` names the session in messages. */
  constructor(id: string, prompt: string, who: string, request: TurnRequest = {}) {
    this.id = id;
    this.prompt = prompt;
    this.origin = request.origin ?? "caller";
    this.promptKind = request.promptKind ?? "text";
    this.promptBlocks = request.promptBlocks;
    this.output = request.output;
    this.by = request.by;
    this.metadata = request.metadata;
    this.promptId = request.promptId;
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

  /** Whether it had ended before this record existed, so that only its outcome is known. */
  get recalled(): boolean {
    return this.#recalled !== undefined;
  }

  /** The known output of a recalled turn. */
  get shown(): readonly ShownPiece[] | undefined {
    return this.#recalled;
  }

  /** The known output of the last attempt. */
  get known(): readonly ShownPiece[] {
    return this.#recalled ?? this.#progress.shown;
  }

  /** Whether it waits for as long as the API refuses it, instead of failing. */
  get patient(): boolean {
    return this.durable && this.queueTimeoutMs >= UNLIMITED_MS;
  }

  /** Whether it has ended only for callers here, see {@link TurnRecord.leave}. */
  get left(): boolean {
    return this.#left;
  }

  /** Whether the next application with this journal continues it, and its callers have its id. */
  get continues(): boolean {
    return this.#continues;
  }

  /** The same turn in the application that has it now, see {@link TurnRecord.follow}. */
  get far(): FarTurn | undefined {
    return this.#far;
  }

  /** Resolves once the end is written, as far as that is waited for. */
  get recorded(): Promise<void> {
    return this.#recorded;
  }

  /** The progress of the current attempt. */
  get progress(): Progress {
    return this.#progress;
  }

  /**
   * Whether Claude has begun to answer or to act in any attempt. Unknown, and therefore true, for an attempt that began
   * before this record existed.
   */
  get touched(): boolean {
    return this.recalled || this.#before > 0 || this.#answeredBefore || this.#progress.touched;
  }

  /** Reads the blocks of the current attempt. */
  get blocks(): BlockReader {
    return this.#blocks;
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

  /** Keeps a timer or listener until the turn ends. */
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

  /** Returns the attempt of the message with this number. */
  attemptOf(number: number): number {
    return this.#before + this.#starts.findLastIndex((start) => start <= number) + 1;
  }

  /** Returns the position of the message with this number. */
  positionOf(number: number): EventPosition {
    return { life: this.life, attempt: this.attemptOf(number), number };
  }

  /** Forgets the interrupted attempt. */
  requeued(): void {
    if (!this.#advance({ type: "requeue" })) return;
    this.#answeredBefore ||= this.#progress.touched;
    this.#progress = new Progress();
    this.#blocks = new BlockReader();
    this.steers.again();
  }

  /** Undoes the current attempt, which showed nothing of the turn. */
  putBack(): void {
    if (!this.#advance({ type: "requeue" })) return;
    this.attempts--;
    this.#progress = new Progress();
    this.#blocks = new BlockReader();
    this.steers.again();
  }

  append(message: SDKMessage): void {
    this.#progress.add(message);
    this.log.append(message);
  }

  /** `output` is the structured answer as Claude gave it. */
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

  /** Ends a turn that ran when the application died. `shown` is its known output. */
  cutBefore(error: CastellanError, shown: readonly ShownPiece[]): void {
    if (!this.#advance({ type: "run" }) || !this.#end("interrupted")) return;
    this.#recalled = shown;
    this.#giveOut("interrupted", error);
  }

  /** Ends the turn for its callers here. The journal keeps it unchanged, and the next start resumes it. */
  leave(error: CastellanError): void {
    const isKept = this.durable && this.#state !== "accepted";
    if (!this.#end(this.#state === "running" ? "interrupted" : "cancelled")) return;
    this.#left = true;
    this.#continues = isKept && NEXT_APPLICATION.has(error.code);
    this.#reject(error);
  }

  /** Continues as this turn of another application, which has taken over the session. The journal has the turn. */
  follow(far: FarTurn): void {
    if (this.ended || this.#far !== undefined) return;
    this.#far = far;
    this.#left = true;
    void this.#mirror(far);
  }

  async #mirror({ source, calls }: FarTurn): Promise<void> {
    // A deadline or a signal of the caller may end it here first.
    const stop = (): void => void calls.interrupt().catch(() => {});
    const over = new AbortController();
    this.#settle.promise.then(
      () => over.abort(),
      () => over.abort(),
    );
    over.signal.addEventListener("abort", () => {
      if (!hasEnded(source.state)) stop();
    });
    source.accepted.then(
      () => this.enqueued(),
      () => {},
    );
    let attempt = 0;
    try {
      for await (const batch of source.log.batches()) {
        if (this.ended) return;
        this.enqueued();
        if (source.attempts > attempt) {
          attempt = source.attempts;
          // What an earlier attempt has shown here stays in the log.
          if (this.#state === "running") this.requeued();
          this.started();
          this.attempts = attempt;
        }
        this.promptId = source.promptId ?? this.promptId;
        for (const message of batch) this.append(message);
      }
    } catch {
      // The result tells why.
    }
    await source.result.then(
      (reply) =>
        this.#finish("completed", () => {
          this.#settle.resolve(reply);
          this.log.end();
        }),
      (error: CastellanError) =>
        this.#finish(hasEnded(source.state) ? source.state : "interrupted", () => this.#reject(error)),
    );
  }

  /** Ends as the turn of the other application has. */
  #finish(as: EndedTurnState, give: () => void): void {
    if (this.ended) return;
    this.enqueued();
    if (this.#state === "queued" && as !== "cancelled") this.started();
    if (this.#end(this.#state === "running" && as === "cancelled" ? "interrupted" : as)) give();
  }

  /** Becomes a turn that waits in the journal, where another call has put it; that call's options count. */
  adopt({ durable, position, attempts, by, metadata, promptId, ...times }: Required<Adopted> & AdoptedOptions): void {
    for (const watch of this.#watches.splice(0)) watch.cancel();
    this.durable ||= durable;
    this.position = position;
    this.timeoutMs = times.timeoutMs;
    this.queueTimeoutMs = times.queueTimeoutMs;
    this.acceptedAt = times.acceptedAt;
    this.since = times.since;
    this.attempts = attempts;
    this.by = by;
    this.metadata = metadata;
    this.promptId = promptId;
    this.#before = attempts;
    this.submitted = true;
    this.enqueued();
  }

  /** Becomes a turn that has already ended in this way, with this output. */
  recall(as: EndedTurnState, end: TurnEnd, shown: readonly ShownPiece[]): void {
    if (!this.#applyEnd({ type: "recall", as })) return;
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

  /** Writes the end, then publishes it. If another application owns the session now, the turn continues there. */
  #record(as: EndedTurnState, end: TurnEnd, give: () => void): void {
    this.#recorded =
      this.#onEnd?.(this, as, end).then(give, (thrown: CastellanError) => {
        this.#left = true;
        this.#continues = this.durable && NEXT_APPLICATION.has(thrown.code);
        this.#reject(thrown);
      }) ?? Promise.resolve();
  }

  #reject(error: CastellanError): void {
    this.#accept.reject(error);
    this.#settle.reject(error);
    this.log.end(error);
  }

  #end(as: EndedTurnState): boolean {
    return this.#applyEnd({ type: "end", as });
  }

  #applyEnd(event: TurnEvent & { readonly type: "end" | "recall" }): boolean {
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

import type { SDKMessage } from "@anthropic-ai/claude-agent-sdk";
import { CastellanError } from "../../errors.ts";
import type { JsonObject } from "../../journal/model/session-entry.ts";
import type { ContentReference, EventContent } from "../record/content.ts";
import type { EventOptions } from "../record/event-readers.ts";
import { leavable } from "../record/leavable.ts";
import type { SessionEvent } from "../record/session-event-types.ts";
import type { EventPosition } from "./event-id.ts";
import type { Reply } from "./reply.ts";
import type { TurnCalls } from "./turn.ts";
import type { TurnRequest } from "./turn-record.ts";
import type { TurnSource } from "./turn-source.ts";
import type { TurnState } from "./turn-state.ts";

/** What a caller may read of a turn whose session takes no more calls. */
export type TurnReads = Pick<TurnCalls, "events" | "content">;

/** A turn of a pool. It gets a session once a member is free, in this process or elsewhere. */
export class PendingTurn implements TurnSource {
  readonly id: string;
  readonly result: Promise<Reply>;
  readonly accepted: Promise<void>;
  readonly log: TurnSource["log"] = { batches: (from) => this.#batches(from) };
  readonly origin = "caller";
  readonly by: string | undefined;
  readonly metadata: JsonObject | undefined;
  readonly #withdraw: () => void | Promise<void>;
  /** Its state until it has a session. */
  readonly #waits: "accepted" | "queued";
  #turn: ({ readonly record: TurnSource } & TurnCalls) | undefined;
  #failed = false;
  /** What a caller may read after the turn was cancelled. */
  #reads: TurnReads | undefined;
  #left = false;
  readonly #assigned: PromiseWithResolvers<TurnSource> = Promise.withResolvers();

  /**
   * @param withdraw cancels the turn, unless it is being assigned
   * @param waits its state until it has a session: `"queued"` once it is in the journal
   */
  constructor(
    id: string,
    { by, metadata }: Pick<TurnRequest, "by" | "metadata">,
    withdraw: () => void | Promise<void>,
    waits: "accepted" | "queued" = "accepted",
  ) {
    this.id = id;
    this.by = by;
    this.metadata = metadata;
    this.#withdraw = withdraw;
    this.#waits = waits;
    this.result = this.#assigned.promise.then(({ result }) => result);
    this.accepted = this.#assigned.promise.then(({ accepted }) => accepted);
    // A caller may read the stream and never ask for the result.
    for (const promise of [this.result, this.accepted]) promise.catch(() => {});
  }

  get state(): TurnState {
    return this.#turn?.record.state ?? (this.#failed ? "cancelled" : this.#waits);
  }

  get recalled(): boolean {
    return this.#turn?.record.recalled ?? false;
  }

  get promptId(): string | undefined {
    return this.#turn?.record.promptId;
  }

  get touched(): boolean {
    return this.#turn?.record.touched ?? false;
  }

  get left(): boolean {
    return this.#turn?.record.left ?? this.#left;
  }

  get continues(): boolean {
    return this.#turn?.record.continues ?? this.#left;
  }

  get attempts(): number {
    return this.#turn?.record.attempts ?? 0;
  }

  get shown(): TurnSource["shown"] {
    return this.#turn?.record.shown;
  }

  get life(): string | undefined {
    return this.#turn?.record.life;
  }

  positionOf(number: number): EventPosition {
    return this.#turn?.record.positionOf(number) ?? { life: "", attempt: 0, number };
  }

  /** Assigns the turn to a member's session. */
  assign(record: TurnSource, calls: TurnCalls): void {
    this.#turn = { record, ...calls };
    this.#assigned.resolve(record);
  }

  /** @param reads what the journal has of the turn, if it does */
  fail(error: unknown, reads?: TurnReads): void {
    this.#failed = true;
    this.#reads = reads;
    this.#assigned.reject(error);
  }

  /** Ends the turn for its callers here. It continues after the next start. */
  leave(error: CastellanError): void {
    if (this.#turn !== undefined) return;
    this.#left = true;
    this.fail(error);
  }

  async interrupt(): Promise<void> {
    if (this.#turn === undefined) await this.#withdraw();
    await this.#assigned.promise.catch(() => {});
    await this.#turn?.interrupt();
  }

  /** Gives a message to the turn once it has a session. */
  async steer(...message: Parameters<TurnCalls["steer"]>): ReturnType<TurnCalls["steer"]> {
    await this.#assigned.promise;
    return await this.#turn?.steer(...message);
  }

  /** Yields events of the turn's session once it has one. */
  events(options: EventOptions): AsyncGenerator<SessionEvent, void, undefined> {
    const left = Promise.withResolvers<void>();
    return leavable(this.#events(options, left.promise), left.resolve);
  }

  async *#events(options: EventOptions, left: Promise<void>): AsyncGenerator<SessionEvent, void, undefined> {
    await Promise.race([this.#assigned.promise, left]).catch(this.#refuseIfUnread);
    const events = (this.#turn ?? this.#reads)?.events(options);
    if (events === undefined) return;
    void left.then(() => events.return());
    yield* events;
  }

  /** Returns a content of an event of the turn's session. */
  async content(reference: ContentReference): Promise<EventContent | undefined> {
    await this.#assigned.promise.catch(this.#refuseIfUnread);
    return await (this.#turn ?? this.#reads)?.content(reference);
  }

  readonly #refuseIfUnread = (error: unknown): void => {
    if (this.#reads === undefined) throw error;
  };

  async *#batches(from: number | undefined): AsyncGenerator<readonly SDKMessage[], void, undefined> {
    const record = await this.#assigned.promise;
    yield* record.log.batches(from);
  }
}

/** Returns the error of a turn that its caller withdrew. */
export function withdrawnError(pool: string, turnId: string, cause?: unknown): CastellanError<"TURN_CANCELLED"> {
  const message = `pool ${JSON.stringify(pool)}: the turn was cancelled before a member was free for it.`;
  return new CastellanError("TURN_CANCELLED", message, { details: { turnId }, cause });
}

import { CastellanError } from "../../errors.ts";
import { publish } from "../../events.ts";
import { withoutUndefined } from "../../fields.ts";
import type { EndedTurnState, TurnEntry } from "../../journal/model/turn-entry.ts";
import type { ProcessOutlook } from "../context/process-outlook.ts";
import { factsOf, type SessionContext } from "../context/session-context.ts";
import type { Signal } from "../context/session-signal.ts";
import { cancelled } from "../context/turn-errors.ts";
import type { TurnCut } from "../conversation/settlement.ts";
import type { PromptText } from "../options/prompt.ts";
import type { TurnSettings } from "../options/turn-options.ts";
import { invalidOptions } from "../options/validation.ts";
import { isOf, isSame, smallPartOf } from "../persistence/stored-prompt.ts";
import type { TurnSteers } from "../persistence/turn-steers.ts";
import { shownIn } from "../streams/kept-shown.ts";
import type { Reply } from "../streams/reply.ts";
import { endOf } from "../streams/turn-end.ts";
import { TurnRecord, type TurnRequest } from "../streams/turn-record.ts";
import { KeptTurns } from "./kept-turns.ts";
import type { Mailbox } from "./mailbox.ts";
import { keyedTurnId } from "./turn-id.ts";
import type { TurnStart } from "./turn-start.ts";
import type { TurnStopping } from "./turn-stopping.ts";
import type { TurnWatches } from "./turn-watches.ts";
import type { TurnsAtWork } from "./turns-at-work.ts";

/** Begins turns. */
export interface IntakeDispatcher {
  readonly watches: TurnWatches;
  readonly stopping: TurnStopping;
  /** Reserves the process for a turn that is about to be accepted, if the turn would begin at once. */
  startWith(record: TurnRecord): TurnStart | undefined;
}

/**
 * Accepts the turns of a session: new ones, which the journal has to record before they may begin, and those from
 * before a restart of the application.
 */
export class Intake {
  readonly #context: SessionContext;
  readonly #process: ProcessOutlook;
  readonly #mailbox: Mailbox;
  readonly #work: TurnsAtWork;
  readonly #dispatcher: IntakeDispatcher;
  readonly #signal: Signal;
  readonly #kept: KeptTurns;
  /** Until the journal's turns are loaded: resolves once they are. Before that, keys cannot be compared. */
  #restoring: PromiseWithResolvers<void> | undefined = Promise.withResolvers();
  #failed = false;

  constructor(
    context: SessionContext,
    process: ProcessOutlook,
    mailbox: Mailbox,
    work: TurnsAtWork,
    dispatcher: IntakeDispatcher,
    signal: Signal,
  ) {
    this.#context = context;
    this.#process = process;
    this.#mailbox = mailbox;
    this.#kept = new KeptTurns(context.clock);
    this.#work = work;
    this.#dispatcher = dispatcher;
    this.#signal = signal;
  }

  /**
   * Accepts a turn. `durable` tells whether its caller may come back for it, as with a key. `blocker` is why the
   * session accepts no new turns, if so; a turn known by its key is returned regardless. `spent` tells whether the budget
   * is spent, which a session that the journal has yet to restore does not know. `freshId` becomes the id of a turn
   * without a key.
   *
   * @throws CastellanError `blocker`, `SESSION_BUSY`, `MAILBOX_FULL`, `TURN_CANCELLED`, `INVALID_OPTIONS` if another
   * turn has its key
   */
  accept(
    asked: PromptText,
    settings: TurnSettings,
    durable: boolean,
    blocker?: CastellanError,
    spent: () => CastellanError | undefined = () => undefined,
    freshId: string = this.#context.newId(),
  ): TurnRecord {
    const { whenBusy, signal, idempotencyKey } = settings;
    const keyed = idempotencyKey !== undefined;
    const id = keyed ? keyedTurnId(this.#context.settings.key, idempotencyKey) : freshId;
    const present = this.#kept.find(id);
    if (present !== undefined) {
      if (isSame(present, asked)) return present;
      throw this.#otherPrompt();
    }
    const refusal = blocker ?? this.#refusal(whenBusy);
    if (refusal !== undefined && !keyed) throw refusal;
    const { clock } = this.#context;
    const times = { acceptedAt: clock.now(), since: clock.monotonic() };
    const request = { ...settings, durable: durable || keyed, ...times };
    const record = this.#record(id, asked, request);
    if (signal?.aborted) throw cancelled(this.#context.who, record, signal.reason);
    if (refusal !== undefined) {
      void this.#recallOr(record, refusal);
      return record;
    }
    if (takesOver(whenBusy)) this.#mailbox.putFirst(record);
    else this.#mailbox.push(record);
    this.#kept.add(record);
    this.#tellOf(record, false);
    this.#dispatcher.watches.begin(record, settings);
    void this.#admit(record, settings, this.#restoring === undefined ? undefined : spent);
    return record;
  }

  /**
   * Restores a turn that was accepted before the application restarted. A turn that was running waits again, or has
   * ended as `cut` says. `steers` are the messages that it was given, and `read` those that the model got.
   */
  restore(entry: TurnEntry, prompt: PromptText, cut: TurnCut | undefined, { steers, read }: TurnSteers): void {
    const record = this.#recordOf(entry, prompt);
    for (const steer of steers) record.steers.add(steer);
    for (const id of cut === undefined ? [] : read) record.steers.read(id);
    record.isRestored = true;
    record.submitted = true;
    record.isInRecord = true;
    record.enqueued();
    this.#mailbox.restore(record);
    this.#tellOf(record, true);
    if (cut !== undefined) {
      this.#mailbox.remove(record);
      record.cutBefore(cut.error, cut.shown);
      return;
    }
    if (entry.state === "running") this.#context.journal.requeued(record, "restarted");
    const { timeoutMs, queueTimeoutMs, since } = record;
    const leftMs =
      timeoutMs === undefined ? undefined : Math.max(0, since + timeoutMs - this.#context.clock.monotonic());
    this.#dispatcher.watches.begin(record, { timeoutMs: leftMs, queueTimeoutMs, signal: undefined });
  }

  /** Takes a turn that the journal has just accepted for this session. */
  take(entry: TurnEntry, prompt: PromptText): TurnRecord {
    const record = this.#recordOf(entry, prompt);
    record.submitted = true;
    this.#context.journal.taken(record);
    record.enqueued();
    this.#mailbox.push(record);
    this.#tellOf(record, false);
    const { timeoutMs, queueTimeoutMs } = record;
    this.#dispatcher.watches.begin(record, { timeoutMs, queueTimeoutMs, signal: undefined });
    this.#signal({ type: "next" });
    return record;
  }

  /** Returns the record of a journal's turn. A caller may have asked for it by its key before it was loaded. */
  #recordOf(entry: TurnEntry, prompt: PromptText): TurnRecord {
    const { id, position, durable, timeoutMs, acceptedAt, attempts, by, metadata, promptId } = entry;
    const { clock, settings } = this.#context;
    const { output, queueTimeout: usual } = settings;
    // The clock may have been set back; a turn cannot have waited for a negative time.
    const since = clock.monotonic() - Math.max(0, clock.now() - acceptedAt);
    const times = { timeoutMs, queueTimeoutMs: entry.queueTimeoutMs ?? usual, acceptedAt, since };
    const early = this.#kept.find(id);
    if (early !== undefined) {
      this.#mailbox.remove(early);
      if (!early.ended && isSame(early, prompt)) {
        early.adopt({ durable, position, attempts, by, metadata, promptId, ...times });
        return early;
      }
      this.#kept.forget(early);
      if (!early.ended) early.leave(this.#otherPrompt());
    }
    const request = { output, position, durable, attempts, by, metadata, promptId, ...times };
    const record = this.#record(id, prompt, request);
    this.#kept.add(record);
    return record;
  }

  /** Resolves once the journal's turns are loaded. @throws CastellanError why they cannot be */
  get ready(): Promise<void> {
    return this.#restoring?.promise ?? Promise.resolve();
  }

  /** Marks the journal's turns as loaded, or, with `error`, as not loaded; loading can then be retried. */
  restored(error?: CastellanError): void {
    if (error === undefined) {
      this.#restoring?.resolve();
      this.#restoring = undefined;
    } else if (this.#restoring !== undefined) {
      if (this.#failed) this.#restoring = Promise.withResolvers();
      this.#restoring.reject(error);
      this.#restoring.promise.catch(() => {});
    }
    this.#failed = error !== undefined;
    this.#signal({ type: "next" });
  }

  /** The session has ended for good. Whoever waits for the journal's turns gets `error`. */
  ended(error: CastellanError): void {
    if (this.#restoring !== undefined) this.restored(error);
  }

  /** Restores a turn that ended before it was asked for. */
  recall(entry: TurnEntry): TurnRecord | undefined {
    if (entry.state === "queued" || entry.state === "running") return undefined;
    const { id, attempts, origin } = entry;
    const record = this.#record(id, smallPartOf(entry), { attempts, ...withoutUndefined({ origin }) });
    this.#recall(record, entry, entry.state, this.#context.settings.output);
    return record;
  }

  /** Records a turn that Claude Code began by itself, so that its id finds it. */
  keep(record: TurnRecord): void {
    this.#kept.add(record);
    this.#tellOf(record, false);
  }

  /** Forgets all turns, because the session was evicted or erased. */
  evict(): void {
    this.#kept.clear();
  }

  /** Whether the mailbox takes no further turn. */
  get isFull(): boolean {
    return this.#mailbox.full(this.#work.free || this.#process.isHibernated ? 1 : 0);
  }

  /** Returns a turn that waits, runs, or ended recently. */
  find(id: string): TurnRecord | undefined {
    return this.#kept.find(id);
  }

  /** Returns why no new turn is accepted at this moment, or undefined. */
  #refusal(whenBusy: TurnSettings["whenBusy"]): CastellanError | undefined {
    if (whenBusy === "reject" && (this.#work.busy || this.#mailbox.length > 0)) {
      const message = `${this.#context.who} is busy; ask again later, or with \`whenBusy: "enqueue"\`.`;
      return new CastellanError("SESSION_BUSY", message);
    }
    if (!this.isFull) return undefined;
    const { limit } = this.#mailbox;
    const message = `${this.#context.who} has ${limit} turns waiting, which is its \`mailboxLimit\`; try again later.`;
    return new CastellanError("MAILBOX_FULL", message, { details: { limit } });
  }

  /** Writes a turn to the journal before it may begin. */
  async #admit(
    record: TurnRecord,
    { whenBusy, idempotencyKey }: TurnSettings,
    spent: (() => CastellanError | undefined) | undefined,
  ): Promise<void> {
    let start: TurnStart | undefined;
    try {
      await this.ready;
      if (record.state !== "accepted") return;
      const earlier = idempotencyKey === undefined ? undefined : await this.#recalled(record);
      if (earlier === "ended") return;
      const refusal = earlier === undefined ? spent?.() : undefined;
      if (refusal !== undefined) throw refusal;
      record.submitted = true;
      start = takesOver(whenBusy) || earlier === "unfinished" ? undefined : this.#dispatcher.startWith(record);
      await this.#context.journal.accept(record, start?.promptId);
      record.enqueued();
      if (record.left) start?.refused();
      else start?.accepted();
      if (takesOver(whenBusy) && !record.ended) this.#dispatcher.stopping.displace(whenBusy === "rollback");
    } catch (thrown) {
      start?.refused();
      this.#refuse(record, thrown, start !== undefined);
    } finally {
      // Whatever became of this turn, the one behind it may be next.
      this.#signal({ type: "next" });
    }
  }

  /** Returns the outcome of an earlier turn with this key, or refuses the turn. */
  async #recallOr(record: TurnRecord, refusal: CastellanError): Promise<void> {
    try {
      await this.ready;
      if ((await this.#recalled(record)) !== "ended") record.leave(refusal);
    } catch (thrown) {
      record.leave(CastellanError.is(thrown) ? thrown : refusal);
    }
  }

  /** Returns what the journal has of a turn with the same key. If it has ended, the record becomes that turn. */
  async #recalled(record: TurnRecord): Promise<"ended" | "unfinished" | undefined> {
    const entry = await this.#context.journal.find(record.id);
    if (record.ended) return "ended";
    if (entry === undefined) return undefined;
    if (!isOf(entry, record)) throw this.#otherPrompt();
    if (entry.state === "queued" || entry.state === "running") return "unfinished";
    this.#mailbox.remove(record);
    record.attempts = entry.attempts;
    this.#recall(record, entry, entry.state, record.output);
    return "ended";
  }

  #recall(
    record: TurnRecord,
    { outcome, by, metadata, promptId }: TurnEntry,
    as: EndedTurnState,
    output: TurnRecord["output"],
  ): void {
    const end = endOf(outcome, this.#context.who, output);
    record.by = by;
    record.metadata = metadata;
    record.promptId = promptId;
    record.recall(as, end, shownIn(outcome, end));
  }

  /** Refuses a turn and frees its key. `begun` tells that the journal was to record its beginning, too. */
  #refuse(record: TurnRecord, thrown: unknown, begun: boolean): void {
    const error = CastellanError.is(thrown)
      ? thrown
      : new CastellanError("JOURNAL_UNAVAILABLE", String(thrown), { details: { reason: "failed" }, cause: thrown });
    this.#mailbox.remove(record);
    this.#kept.forget(record);
    // The journal may have recorded it regardless.
    if (record.submitted && CastellanError.is(error, "JOURNAL_UNAVAILABLE") && error.details.applied !== false) {
      this.#context.journal.withdraw(record, begun);
    }
    record.leave(error);
  }

  #otherPrompt(): CastellanError<"INVALID_OPTIONS"> {
    const message = "is the key of another turn with a different prompt; use one key per turn";
    return invalidOptions(`turn of ${this.#context.who}`, [{ field: "idempotencyKey", message }]);
  }

  /** Publishes the start of a turn, and later its outcome. */
  #tellOf(record: TurnRecord, recovered: boolean): void {
    const { id: turnId, prompt, origin } = record;
    const { clock } = this.#context;
    const facts = { ...factsOf(this.#context), turnId, origin };
    publish("castellan:turn:accept", () => ({ ...facts, prompt, recovered }));
    const ended = (end: { readonly reply?: Reply; readonly error?: CastellanError }): void => {
      const { state, left, attempts, since } = record;
      const durationMs = clock.monotonic() - since;
      publish("castellan:turn:end", () => ({ ...facts, state, left, attempts, prompt, durationMs, ...end }));
    };
    record.result.then(
      (reply) => ended({ reply }),
      (error: CastellanError) => ended({ error }),
    );
  }

  #record(id: string, { text, kind: promptKind, blocks: promptBlocks }: PromptText, request: TurnRequest): TurnRecord {
    return new TurnRecord(id, text, this.#context.who, {
      life: this.#context.newId().slice(-12),
      promptKind,
      promptBlocks,
      ...request,
      onEnd: (record, as, end) => {
        if ("error" in end) this.#signal({ type: "turn_failed", turnId: record.id });
        return this.#context.journal.ended(record, as, end);
      },
      shared: this.#context.journal.isShared,
    });
  }
}

/** Whether the turn goes ahead of all waiting turns and stops the running one. */
function takesOver(whenBusy: TurnSettings["whenBusy"]): boolean {
  return whenBusy === "interrupt" || whenBusy === "rollback";
}

import { type BlockDelta, isDelta, type WholeBlock } from "../../claude/messages/block-reader.ts";
import type { Clock } from "../../clock.ts";
import { withDeadline } from "../../deadline.ts";
import { CastellanError } from "../../errors.ts";
import { withoutUndefined } from "../../fields.ts";
import type { JournalWriter, Settled, WriteOptions } from "../../journal/journal-writer.ts";
import type { ApprovalEntry } from "../../journal/model/approval-entry.ts";
import type { Change } from "../../journal/model/change.ts";
import type { ContentEntry, EventEntry, EventExtent, EventQuery } from "../../journal/model/event-entry.ts";
import type { JobEntry } from "../../journal/model/job-entry.ts";
import { isRefused } from "../../journal/model/journal-errors.ts";
import { KEPT_MS } from "../../journal/model/recent-writes.ts";
import type { ModelSpending } from "../../journal/model/spending.ts";
import type { EndedTurnState, TurnEntry } from "../../journal/model/turn-entry.ts";
import { dayOf, type UsageEntry, type UsageQuery } from "../../journal/model/usage-entry.ts";
import type { Approval, ApprovalSettlement } from "../conversation/approval.ts";
import type { LeftConversation, SessionMemory } from "../conversation/session-memory.ts";
import type { PromptText } from "../options/prompt.ts";
import type { EventDraft } from "../record/session-event-types.ts";
import { type EventAppended, type ExtractedDraft, type RecordMeans, SessionRecord } from "../record/session-record.ts";
import type { TurnEnd } from "../streams/reply.ts";
import { outcomeOf } from "../streams/turn-end.ts";
import type { TurnRecord } from "../streams/turn-record.ts";
import { approvalRequested, approvalSettled } from "./approval-events.ts";
import type { LiveDescription } from "./live-description.ts";
import type { Missing } from "./record-completion.ts";
import { RecordOpening } from "./record-opening.ts";
import { conversationLeft, sessionSaved } from "./session-changes.ts";
import { SessionTranscripts, type TranscriptWriter } from "./session-transcripts.ts";
import { loadPrompt, type StoredPrompt, storedPrompt } from "./stored-prompt.ts";
import type { KnownSession, SupervisorJournal } from "./supervisor-journal.ts";
import {
  acceptedElsewhere,
  ownTurn,
  turnAccepted,
  turnBegun,
  turnEnded,
  turnInJournal,
  turnStarted,
  unpromptedAccepted,
} from "./turn-events.ts";
import { WrittenReads } from "./written-reads.ts";

const NEVER: Promise<never> = new Promise(() => {});

/**
 * How long a reply or a tool call waits for a journal that does not accept its record. A caller that has a reply must get
 * the same one by its key again, and a tool that has run must not run again.
 */
const PATIENCE_MS = 5_000;

/**
 * What one session writes to the journal and reads from it. Before the journal is open, the session has accepted
 * nothing, so there is nothing to write.
 */
export class SessionJournal implements RecordMeans, TranscriptWriter {
  /** The turn that has spent last. */
  #lastSpender: string | undefined;
  readonly #session: string;
  readonly #supervisorJournal: SupervisorJournal;
  readonly #clock: Clock;
  /** What the session sees and does. */
  readonly record: SessionRecord;
  /** What lists show of the session. */
  readonly description: LiveDescription;
  /** The transcripts of its conversations. */
  readonly transcripts: SessionTranscripts;
  readonly opening: RecordOpening;
  #sealed = false;

  constructor(session: string, supervisorJournal: SupervisorJournal, clock: Clock, description: LiveDescription) {
    this.description = description;
    this.record = new SessionRecord(session, clock, this);
    this.opening = new RecordOpening(session, this, supervisorJournal, clock);
    this.#session = session;
    this.#supervisorJournal = supervisorJournal;
    this.#clock = clock;
    this.transcripts = new SessionTranscripts(session, supervisorJournal, this);
  }

  /** The name of the session's supervisor. */
  get supervisor(): string {
    return this.#supervisorJournal.supervisor;
  }

  /** Makes what the first reader waits for available. */
  onReader(): void {
    this.writer?.release(this.#session);
    void this.opening.use();
  }

  /** Opens the record, because events wait for their numbers. */
  onEarly(): void {
    void this.opening.use();
  }

  /** Begins the record after the event with the number `last`, with what is missing. */
  beginRecord(last: number, missing: Missing): void {
    this.#send(missing.changes, this.record.open(last, missing.drafts));
  }

  /** Why the journal cannot be written, or undefined. */
  get fault(): Error | undefined {
    return this.#supervisorJournal.fault;
  }

  /** Whether another application may take over what is written, see `Journal.shared`. */
  get isShared(): boolean {
    return this.#supervisorJournal.isShared;
  }

  /** Returns what the journal knows of the session. @throws CastellanError `JOURNAL_UNAVAILABLE` */
  async read(): Promise<KnownSession> {
    const known = await this.#supervisorJournal.read([this.#session]);
    return known.get(this.#session) ?? { turns: [] };
  }

  /** Returns a turn of this session, once its pending writes are done. @throws CastellanError `JOURNAL_UNAVAILABLE` */
  async find(id: string): Promise<TurnEntry | undefined> {
    await this.#supervisorJournal.writer?.settled(this.#session);
    const turn = await this.#supervisorJournal.journal.turn(id);
    return turn?.session === this.#session ? turn : undefined;
  }

  /**
   * Like {@link find}, but does not wait for writes that the journal does not accept, so a read-only journal works.
   *
   * @throws CastellanError `JOURNAL_UNAVAILABLE`
   */
  async findWritten(id: string): Promise<TurnEntry | undefined> {
    await this.#supervisorJournal.writer?.caughtUp();
    const turn = await this.#supervisorJournal.journal.turn(id);
    return turn?.session === this.#session ? turn : undefined;
  }

  /**
   * Resolves once the turn is in the journal; with `promptId`, as one whose prompt is about to be sent to the process.
   *
   * @throws CastellanError `JOURNAL_UNAVAILABLE`, `NOT_OWNER`
   */
  async accept(record: TurnRecord, promptId?: string): Promise<void> {
    const stored = storedPrompt(record);
    await this.#write([turnInJournal(record, this.#session, stored, promptId)], record.durable);
    // Only now: a number cannot be taken back if the journal rejects the turn.
    if (record.left) return;
    const begins = promptId !== undefined && !record.ended;
    this.append(...this.#acceptedOnce(record, stored), ...(begins ? [turnStarted(record, promptId)] : []));
  }

  /**
   * Writes a turn again that another application has accepted in a shared journal, as long as applications write again what they
   * wrote. The journal has it already; a database that fails over later may not, and would ignore what follows for the turn.
   */
  acceptAgain(turn: TurnEntry, prompt: PromptText): void {
    if (this.isShared && this.#clock.now() - turn.acceptedAt <= KEPT_MS) this.#note(acceptedElsewhere(turn, prompt));
  }

  /** Records that the journal has accepted the turn for this session. */
  taken(record: TurnRecord): void {
    this.append(...this.#acceptedOnce(record));
  }

  /** Returns the event that the turn was accepted, unless there is one. */
  #acceptedOnce(record: TurnRecord, stored?: StoredPrompt): ExtractedDraft[] {
    if (record.isInRecord) return [];
    record.isInRecord = true;
    return [turnAccepted(record, stored ?? storedPrompt(record))];
  }

  /** Resolves once the job is in the journal. @throws CastellanError `JOURNAL_UNAVAILABLE`, `NOT_OWNER` */
  async saveJob(job: JobEntry): Promise<void> {
    await this.#write([{ type: "job_saved", job }], true);
  }

  /** Resolves once the job is gone. @throws CastellanError `JOURNAL_UNAVAILABLE`, `NOT_OWNER` */
  async dropJob(job: string): Promise<void> {
    await this.#write([{ type: "job_dropped", job }], true);
  }

  /** Resolves once the changes are written, however long that takes. @throws CastellanError `NOT_OWNER` */
  async recordDurably(changes: readonly Change[]): Promise<void> {
    await this.writer?.record(changes, { durable: true, session: this.#session });
  }

  /** Takes a turn back that no caller relies on. `begun` tells that it may have been written as about to be sent. */
  withdraw({ id, position, attempts }: TurnRecord, begun: boolean): void {
    const undone: Change[] = begun ? [{ type: "turn_requeued", turn: id, position, attempts }] : [];
    this.#note(...undone, { type: "turn_withdrawn", turn: id });
  }

  /**
   * Resolves once the journal knows that the turn is about to be sent to the process.
   *
   * @throws CastellanError `NOT_OWNER`
   */
  async begin(record: TurnRecord, promptId: string): Promise<void> {
    this.append(...this.#acceptedOnce(record), turnStarted(record, promptId));
    await this.writer?.record([turnBegun(record, promptId)], { durable: record.durable, session: this.#session });
  }

  /** Writes that Claude began to answer or act. While nobody has seen the answer, this waits like events that nobody reads. */
  touched({ id, durable, log }: TurnRecord): void {
    const lazy = log.readers === 0 && this.record.readers === 0;
    this.writer?.note([{ type: "turn_touched", turn: id }], { durable, session: this.#session, lazy });
    log.onReader = () => this.writer?.release(this.#session);
  }

  /**
   * Resolves once all changes so far are written. Waits without limit for a durable turn, because a caller may come
   * back for it; for any other turn at most five seconds. Never resolves if the session has lost its ownership: nothing
   * more may begin in its name, and its process is about to be killed.
   */
  async caughtUp({ durable }: TurnRecord): Promise<void> {
    const written = this.#supervisorJournal.writer
      ?.record([], { session: this.#session })
      .catch((error: unknown) => (CastellanError.is(error, "NOT_OWNER") ? NEVER : undefined));
    await (durable ? written : this.#within(written));
  }

  /**
   * Resolves once all changes so far are written, after five seconds at the latest.
   *
   * @throws CastellanError `NOT_OWNER`
   */
  async settled(): Promise<void> {
    await this.#within(this.writer?.record([], { session: this.#session }));
  }

  /** Writes that the turn waits again, and why. */
  requeued({ id, position, durable }: TurnRecord, reason: "process_ended" | "restarted" | "not_sent"): void {
    const retried = { type: "turn_retried", turnId: id, reason } as const;
    this.#put([{ type: "turn_requeued", turn: id, position }], [retried], durable);
  }

  /** Writes that the turn waits again because the API refused it, and that its last attempt does not count. */
  putBack({ id, position, durable, attempts }: TurnRecord, reason: "unpaid" | "quota" | "overload"): void {
    const retried = { type: "turn_retried", turnId: id, reason } as const;
    this.#put([{ type: "turn_requeued", turn: id, position, attempts }], [retried], durable);
  }

  /**
   * Resolves once the end is written. Waits at most five seconds; without limit in a shared journal, where another
   * application might otherwise run the turn again.
   *
   * @throws CastellanError `NOT_OWNER`; `JOURNAL_UNAVAILABLE` in a shared journal, if the other application has to end
   * the turn itself
   */
  async ended(record: TurnRecord, state: EndedTurnState, end: TurnEnd): Promise<void> {
    // A turn that ends before it began may be the first use of the record.
    const opening = this.opening.use();
    if (opening !== undefined) await opening;
    const { id, durable, known } = record;
    const outcome = outcomeOf(end, known);
    const change = { type: "turn_ended", turn: id, state, at: this.#clock.now(), outcome } as const;
    const events = [...this.#acceptedOnce(record), ...turnEnded(record, state, end)];
    const written = this.#putNow([change], events, durable)?.catch((error: unknown) => {
      if (CastellanError.is(error, "NOT_OWNER") || (this.isShared && !isRefused(error))) throw error;
    });
    await (this.isShared ? written : this.#within(written));
  }

  /** Writes what was spent, in this turn if any. */
  spent(models: readonly ModelSpending[], turnId: string | undefined): void {
    if (models.length === 0) return;
    const { supervisor, meter } = this.#supervisorJournal;
    meter.add(models);
    const day = dayOf(this.#clock.now());
    const spent = { type: "spent", models, ...withoutUndefined({ turnId }) } as const;
    // A turn that goes on after a result has another one.
    const turns = turnId === undefined || turnId === this.#lastSpender ? 0 : 1;
    this.#lastSpender = turnId ?? this.#lastSpender;
    this.#put([{ type: "spent", supervisor, session: this.#session, day, models, turns }], [spent]);
  }

  /** Records that no turn of the process spends any more, because it is gone. */
  processGone(): void {
    this.#lastSpender = undefined;
  }

  /** Writes the memory, and the conversation or location that the session just left, if any. */
  save(memory: SessionMemory, left?: LeftConversation): void {
    this.#note(
      ...this.#saved(memory),
      ...(left === undefined ? [] : [conversationLeft(this.#session, left, this.#clock.now())]),
    );
  }

  /** Writes the memory and resolves once it is written. @throws CastellanError `JOURNAL_UNAVAILABLE`, `NOT_OWNER` */
  async saveNow(memory: SessionMemory): Promise<void> {
    try {
      await this.#write(this.#saved(memory));
    } catch (error) {
      this.description.unwritten();
      throw error;
    }
  }

  #saved(memory: SessionMemory): Change[] {
    const { supervisor } = this.#supervisorJournal;
    const saved = sessionSaved({ key: this.#session, supervisor }, memory, this.#clock.now());
    return [saved, ...this.description.due(this.#session)];
  }

  approvalRequested(approval: Approval): void {
    const { id, tool, requestedAt } = approval;
    const requested = approvalRequested(approval);
    const { input } = requested;
    const entry = { id, session: this.#session, tool, input, requestedAt };
    this.#put([{ type: "approval_requested", approval: entry }], [requested]);
  }

  /** Writes how an approval ended, with its event in the turn that it belongs to. */
  approvalSettled(
    approval: Pick<Approval, "id" | "tool" | "toolUseId" | "turnId">,
    settlement: ApprovalSettlement,
  ): void {
    const { id } = approval;
    const { outcome } = settlement;
    const settled = approvalSettled(approval, settlement);
    this.#put([{ type: "approval_settled", approval: id, outcome, at: this.#clock.now() }], [settled]);
  }

  /** Records a turn that Claude Code began by itself. The journal's turns have it once it has ended. */
  unpromptedBegan(record: TurnRecord): void {
    record.isInRecord = true;
    record.submitted = true;
    this.#put([], [unpromptedAccepted(record), { type: "turn_started", turnId: record.id, attempt: 1 }]);
  }

  async unpromptedEnded(record: TurnRecord, state: EndedTurnState, end: TurnEnd): Promise<void> {
    const { id, origin, acceptedAt } = record;
    const at = this.#clock.now();
    const changes = ownTurn(
      { id, session: this.#session, origin, acceptedAt },
      { state, at, outcome: outcomeOf(end, record.known) },
    );
    this.#put(changes, turnEnded(record, state, end));
  }

  /**
   * Appends events to the session's record. While nobody reads it, a few wait for later ones, so that a short turn is one
   * row of the journal.
   */
  append(...drafts: Drafts): void {
    const events = this.record.append(drafts);
    this.#send([], events, { lazy: this.record.mayWait });
  }

  /** Appends blocks of a turn to the record, and gives their deltas to readers. */
  recordBlocks(blocks: readonly (WholeBlock | BlockDelta)[], turnId: string | undefined): void {
    for (const block of blocks) {
      const own = turnId === undefined ? block : { ...block, turnId };
      if (isDelta(own)) this.record.show(own);
      else this.append(own);
    }
  }

  /**
   * Appends an event that a caller relies on. Resolves once it is written, after five seconds at the latest.
   *
   * @throws CastellanError `NOT_OWNER`
   */
  async appendNow(draft: EventDraft): Promise<void> {
    const opening = this.opening.use();
    if (opening !== undefined) await opening;
    await this.#within(this.#putNow([], [draft], true));
  }

  /** Resolves once these changes, which have happened, are written together with their events. */
  async recordEvents(changes: readonly Change[], drafts: readonly (EventDraft | ExtractedDraft)[]): Promise<void> {
    await this.#putNow(changes, drafts, true);
  }

  /** Returns the prompt of a journal's turn. @throws CastellanError `JOURNAL_UNAVAILABLE` */
  async promptOf(turn: TurnEntry): Promise<PromptText> {
    return await loadPrompt(turn, (hash) => this.content(hash));
  }

  /**
   * Ends the record's readers after the last event, because the session ends here. If the journal does not take the
   * events within five seconds, the readers end before them.
   */
  endRecord(): void {
    const opening = this.record.hasEarly ? this.opening.use() : this.opening.running;
    if (opening === undefined) this.#endRecord();
    else void opening.then(() => this.#endRecord());
  }

  #endRecord(): void {
    this.record.end();
    if (this.record.hasEnded) return;
    const written = this.writer?.record([], { session: this.#session }).catch(() => {});
    void this.#within(written).then(() => this.record.end({ drop: true }));
  }

  /** Returns events of the session. @throws CastellanError `JOURNAL_UNAVAILABLE` */
  async events(query: Omit<EventQuery, "session">): Promise<EventEntry[]> {
    return await this.#supervisorJournal.journal.events({ ...query, session: this.#session });
  }

  /** Returns the extent of the session's events. @throws CastellanError `JOURNAL_UNAVAILABLE` */
  async extent(): Promise<EventExtent | undefined> {
    return await this.#supervisorJournal.journal.eventExtent(this.#session);
  }

  /**
   * Returns a large or binary content to which an event or a turn of the session refers, or undefined.
   *
   * @throws CastellanError `JOURNAL_UNAVAILABLE`
   */
  async content(hash: string): Promise<ContentEntry | undefined> {
    return await this.#supervisorJournal.journal.content(hash, this.#session);
  }

  /** Resolves once the pending writes are done, as far as the journal accepts any. @throws CastellanError `NOT_OWNER` */
  async whenReadable(): Promise<void> {
    await this.#supervisorJournal.writer?.caughtUp();
  }

  /** Stops all further writes, because nothing of the session is to be kept. */
  seal(): void {
    this.#sealed = true;
    this.record.erase();
  }

  /** Returns the latest approvals, newest first. @throws CastellanError `JOURNAL_UNAVAILABLE` */
  async approvals(limit: number): Promise<ApprovalEntry[]> {
    await this.#supervisorJournal.writer?.settled();
    return await this.#supervisorJournal.journal.approvals(this.#session, limit);
  }

  /** Reads that do not wait for writes that the journal does not accept. */
  get written(): WrittenReads {
    return new WrittenReads(this.#session, this.#supervisorJournal);
  }

  /** Returns what the session has spent. @throws CastellanError `JOURNAL_UNAVAILABLE` */
  async usage(query: Omit<UsageQuery, "session">): Promise<UsageEntry[]> {
    return await this.#supervisorJournal.usage({ ...query, session: this.#session });
  }

  /** Why the supervisor's sessions may not spend more, or undefined. */
  get refusal(): CastellanError | undefined {
    return this.#supervisorJournal.refusal;
  }

  /** The writer of the journal; undefined if nothing of the session is to be written any more. */
  get writer(): JournalWriter | undefined {
    return this.#sealed ? undefined : this.#supervisorJournal.writer;
  }

  async #write(changes: readonly Change[], durable = false): Promise<void> {
    await this.writer?.write(changes, { durable, session: this.#session });
  }

  /** Writes changes that have happened, together with their events. */
  #put(changes: readonly Change[], drafts: Drafts, durable = false): void {
    this.#send(changes, this.record.append(drafts), { durable });
  }

  /** Like `#put`. Resolves once they are written. @throws CastellanError `NOT_OWNER` */
  #putNow(changes: readonly Change[], drafts: Drafts, durable = false): Promise<void> | undefined {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const isSent = this.#send(changes, this.record.append(drafts), { durable }, (error) =>
      error ? reject(error) : resolve(),
    );
    promise.catch(() => {});
    return isSent ? promise : undefined;
  }

  /** Writes changes and numbered events, then publishes the events. Returns whether `told` will be called. */
  #send(changes: readonly Change[], events: readonly EventAppended[], how: WriteOptions = {}, told?: Settled): boolean {
    const writer = this.writer;
    if (writer === undefined || changes.length + events.length === 0) return false;
    const delivery = this.#supervisorJournal.delivery?.due(this.#session, events);
    const all = changes.length === 0 ? events : events.length === 0 ? changes : [...changes, ...events];
    const marked = delivery === undefined ? all : [...delivery.changes, ...all];
    writer.note(marked, { ...how, session: this.#session }, (error) => {
      if (error === undefined) this.record.written(events);
      else if (events.length > 0) this.#rejected(events, error);
      delivery?.settled(error === undefined);
      told?.(error);
    });
    return true;
  }

  /** Handles that events will not be written, or not by this application. */
  #rejected(events: readonly EventAppended[], error: CastellanError): void {
    const isLost = events.every(({ event }) => event.type === "lost");
    if (!isRefused(error) || isLost) this.record.end({ drop: true });
    else this.#send([], this.record.replacing(events));
  }

  #note(...changes: readonly Change[]): void {
    this.writer?.note(changes, { session: this.#session });
  }

  async #within(written: Promise<void> | undefined): Promise<void> {
    await withDeadline(this.#clock, PATIENCE_MS, written);
  }
}

type Drafts = readonly (EventDraft | ExtractedDraft)[];

import type { Clock } from "../../clock.ts";
import { withDeadline } from "../../deadline.ts";
import { CastellanError } from "../../errors.ts";
import { withoutUndefined } from "../../fields.ts";
import type { JournalWriter } from "../../journal/journal-writer.ts";
import type { ApprovalEntry } from "../../journal/model/approval-entry.ts";
import type { Change } from "../../journal/model/change.ts";
import type { ConversationEntry } from "../../journal/model/conversation-entry.ts";
import type { SessionEntry } from "../../journal/model/session-entry.ts";
import type { ModelSpending } from "../../journal/model/spending.ts";
import type { EndedTurnState, TurnEntry } from "../../journal/model/turn-entry.ts";
import { dayOf, type UsageEntry, type UsageQuery } from "../../journal/model/usage-entry.ts";
import type { Approval, ApprovalOutcome } from "../conversation/approval.ts";
import { type LeftConversation, type SessionMemory, writeMemory } from "../conversation/session-memory.ts";
import type { TurnEnd } from "../streams/reply.ts";
import { jsonOf, outcomeOf } from "../streams/turn-end.ts";
import type { TurnRecord } from "../streams/turn-record.ts";
import type { KnownSession, SupervisorJournal } from "./supervisor-journal.ts";

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
export class SessionJournal {
  readonly #session: string;
  readonly #supervisorJournal: SupervisorJournal;
  readonly #clock: Clock;
  #sealed = false;

  constructor(session: string, supervisorJournal: SupervisorJournal, clock: Clock) {
    this.#session = session;
    this.#supervisorJournal = supervisorJournal;
    this.#clock = clock;
  }

  /** The name of the session's supervisor. */
  get supervisor(): string {
    return this.#supervisorJournal.supervisor;
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

  /** Returns a turn of this session, once all pending writes are done. @throws CastellanError `JOURNAL_UNAVAILABLE` */
  async find(id: string): Promise<TurnEntry | undefined> {
    await this.#supervisorJournal.writer?.settled();
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

  /** Resolves once the turn is in the journal. @throws CastellanError `JOURNAL_UNAVAILABLE`, `NOT_OWNER` */
  async accept(record: TurnRecord): Promise<void> {
    const { id, prompt, promptKind, position, durable, timeoutMs, queueTimeoutMs, acceptedAt } = record;
    const rest = {
      ...(promptKind === "text" ? {} : { promptKind }),
      ...withoutUndefined({ timeoutMs }),
      ...(Number.isFinite(queueTimeoutMs) ? { queueTimeoutMs } : {}),
    };
    const turn = { id, session: this.#session, prompt, position, durable, acceptedAt, ...rest };
    await this.#write({ type: "turn_accepted", turn }, durable);
  }

  withdraw({ id }: TurnRecord): void {
    this.#note({ type: "turn_withdrawn", turn: id });
  }

  /**
   * Resolves once the journal knows that the turn is about to be sent to the process.
   *
   * @throws CastellanError `NOT_OWNER`
   */
  async begin({ id, durable, attempts }: TurnRecord, promptId: string): Promise<void> {
    await this.#record({ type: "turn_begun", turn: id, promptId, attempt: attempts + 1 }, durable);
  }

  /** Writes that Claude began to answer or act. */
  touched({ id, durable }: TurnRecord): void {
    this.#writer?.note([{ type: "turn_touched", turn: id }], { durable, session: this.#session });
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
    await this.#within(this.#writer?.record([], { session: this.#session }));
  }

  requeued({ id, position, durable }: TurnRecord): void {
    this.#writer?.note([{ type: "turn_requeued", turn: id, position }], { durable, session: this.#session });
  }

  /** Writes that the turn waits again and that its last attempt does not count. */
  putBack({ id, position, durable, attempts }: TurnRecord): void {
    this.#writer?.note([{ type: "turn_requeued", turn: id, position, attempts }], { durable, session: this.#session });
  }

  /**
   * Resolves once the end is written. Waits at most five seconds; without limit in a shared journal, where another
   * application might otherwise run the turn again.
   *
   * @throws CastellanError `NOT_OWNER`; `JOURNAL_UNAVAILABLE` in a shared journal, if the other application has to end
   * the turn itself
   */
  async ended({ id, durable, known }: TurnRecord, state: EndedTurnState, end: TurnEnd): Promise<void> {
    const outcome = outcomeOf(end, known);
    const change = { type: "turn_ended", turn: id, state, at: this.#clock.now(), outcome } as const;
    const written = this.#record(change, durable)?.catch((error: unknown) => {
      if (CastellanError.is(error, "NOT_OWNER") || (this.isShared && !isRefused(error))) throw error;
    });
    await (this.isShared ? written : this.#within(written));
  }

  spent(models: readonly ModelSpending[]): void {
    if (models.length === 0) return;
    const { supervisor, meter } = this.#supervisorJournal;
    meter.add(models);
    const day = dayOf(this.#clock.now());
    this.#note({ type: "spent", supervisor, session: this.#session, day, models });
  }

  /** Writes the memory, and the conversation or location that the session just left, if any. */
  save(memory: SessionMemory, left?: LeftConversation): void {
    this.#note(this.#saved(memory), ...(left === undefined ? [] : [this.#leaving(left)]));
  }

  /** Writes the memory and resolves once it is written. @throws CastellanError `JOURNAL_UNAVAILABLE`, `NOT_OWNER` */
  async saveNow(memory: SessionMemory): Promise<void> {
    await this.#write(this.#saved(memory));
  }

  #saved(memory: SessionMemory): Change {
    const session: SessionEntry = {
      key: this.#session,
      supervisor: this.#supervisorJournal.supervisor,
      conversationId: memory.conversation.id,
      memory: writeMemory(memory),
      savedAt: this.#clock.now(),
    };
    return { type: "session_saved", session };
  }

  #leaving({ id, ...where }: LeftConversation): Change {
    const conversation: ConversationEntry = {
      session: this.#session,
      conversationId: id,
      memory: jsonOf(where),
      leftAt: this.#clock.now(),
    };
    return { type: "conversation_left", conversation };
  }

  approvalRequested({ id, tool, input, requestedAt }: Approval): void {
    const approval = { id, session: this.#session, tool, input: jsonOf(input), requestedAt };
    this.#note({ type: "approval_requested", approval });
  }

  approvalSettled(approval: string, outcome: ApprovalOutcome): void {
    const at = this.#clock.now();
    this.#note({ type: "approval_settled", approval, outcome, at });
  }

  /** Stops all further writes, because nothing of the session is to be kept. */
  seal(): void {
    this.#sealed = true;
  }

  /** Returns the latest approvals, newest first. @throws CastellanError `JOURNAL_UNAVAILABLE` */
  async approvals(limit: number): Promise<ApprovalEntry[]> {
    await this.#supervisorJournal.writer?.settled();
    return await this.#supervisorJournal.journal.approvals(this.#session, limit);
  }

  /** Returns what the session has spent. @throws CastellanError `JOURNAL_UNAVAILABLE` */
  async usage(query: Omit<UsageQuery, "session">): Promise<UsageEntry[]> {
    return await this.#supervisorJournal.usage({ ...query, session: this.#session });
  }

  /**
   * Like {@link usage}, without waiting for writes that the journal does not accept.
   *
   * @throws CastellanError `JOURNAL_UNAVAILABLE`
   */
  async usageWritten(query: Omit<UsageQuery, "session">): Promise<UsageEntry[]> {
    return await this.#supervisorJournal.usageWritten({ ...query, session: this.#session });
  }

  /**
   * Like {@link approvals}, without waiting for writes that the journal does not accept.
   *
   * @throws CastellanError `JOURNAL_UNAVAILABLE`
   */
  async approvalsWritten(limit: number): Promise<ApprovalEntry[]> {
    await this.#supervisorJournal.writer?.caughtUp();
    return await this.#supervisorJournal.journal.approvals(this.#session, limit);
  }

  /** Why the supervisor's sessions may not spend more, or undefined. */
  get refusal(): CastellanError | undefined {
    return this.#supervisorJournal.refusal;
  }

  get #writer(): JournalWriter | undefined {
    return this.#sealed ? undefined : this.#supervisorJournal.writer;
  }

  async #write(change: Change, durable = false): Promise<void> {
    await this.#writer?.write([change], { durable, session: this.#session });
  }

  #record(change: Change, durable = false): Promise<void> | undefined {
    return this.#writer?.record([change], { durable, session: this.#session });
  }

  #note(...changes: readonly Change[]): void {
    this.#writer?.note(changes, { session: this.#session });
  }

  async #within(written: Promise<void> | undefined): Promise<void> {
    await withDeadline(this.#clock, PATIENCE_MS, written);
  }
}

/** Whether the journal rejects the change for good, for every writer. */
function isRefused(error: unknown): boolean {
  return CastellanError.is(error, "JOURNAL_UNAVAILABLE") && error.details.reason === "refused";
}

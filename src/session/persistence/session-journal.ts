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

/**
 * How long a reply is held back for a journal that does not take it, since who has a reply should get it again by its key; and
 * a tool, since who has run one should not run it again.
 */
const NEVER: Promise<never> = new Promise(() => {});

const PATIENCE_MS = 5_000;

/**
 * What one session writes into the journal, and reads from it. Until the journal is open nothing has been accepted, so that
 * there is nothing to write.
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

  /** Why nothing can be written, if that is so. */
  get fault(): Error | undefined {
    return this.#supervisorJournal.fault;
  }

  /** Whether another application may go on with what is written, see `Journal.shared`. */
  get isShared(): boolean {
    return this.#supervisorJournal.isShared;
  }

  /** What is known of the session. @throws CastellanError `JOURNAL_UNAVAILABLE` */
  async read(): Promise<KnownSession> {
    const known = await this.#supervisorJournal.read([this.#session]);
    return known.get(this.#session) ?? { turns: [] };
  }

  /** A turn of this session. @throws CastellanError `JOURNAL_UNAVAILABLE` */
  async find(id: string): Promise<TurnEntry | undefined> {
    await this.#supervisorJournal.writer?.settled();
    const turn = await this.#supervisorJournal.journal.turn(id);
    return turn?.session === this.#session ? turn : undefined;
  }

  /** The same, as far as it is written: a journal that can only be read is read. @throws CastellanError `JOURNAL_UNAVAILABLE` */
  async findWritten(id: string): Promise<TurnEntry | undefined> {
    await this.#supervisorJournal.writer?.caughtUp();
    const turn = await this.#supervisorJournal.journal.turn(id);
    return turn?.session === this.#session ? turn : undefined;
  }

  /** Resolves when the turn is in the journal. @throws CastellanError `JOURNAL_UNAVAILABLE`, `NOT_OWNER` */
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

  /** Resolves when it is written that the turn is about to be handed out. @throws CastellanError `NOT_OWNER` */
  async begin({ id, durable, attempts }: TurnRecord, promptId: string): Promise<void> {
    await this.#record({ type: "turn_begun", turn: id, promptId, attempt: attempts + 1 }, durable);
  }

  /** Writes that Claude has begun. */
  touched({ id, durable }: TurnRecord): void {
    this.#writer?.note([{ type: "turn_touched", turn: id }], { durable, session: this.#session });
  }

  /**
   * Resolves when all is written that was said so far. Only for a turn that somebody will come back for is that waited for as long as
   * it takes; any other goes on after five seconds. Never, if the session is another's by now: nothing more may be begun in its name,
   * and its process is about to be killed.
   */
  async caughtUp({ durable }: TurnRecord): Promise<void> {
    const written = this.#supervisorJournal.writer
      ?.record([], { session: this.#session })
      .catch((error: unknown) => (CastellanError.is(error, "NOT_OWNER") ? NEVER : undefined));
    await (durable ? written : this.#within(written));
  }

  /** Resolves when all is written that was said so far, which is waited for for five seconds. @throws CastellanError `NOT_OWNER` */
  async settled(): Promise<void> {
    await this.#within(this.#writer?.record([], { session: this.#session }));
  }

  requeued({ id, position, durable }: TurnRecord): void {
    this.#writer?.note([{ type: "turn_requeued", turn: id, position }], { durable, session: this.#session });
  }

  /** It waits again, and its last attempt does not count. */
  putBack({ id, position, durable, attempts }: TurnRecord): void {
    this.#writer?.note([{ type: "turn_requeued", turn: id, position, attempts }], { durable, session: this.#session });
  }

  /**
   * Resolves when it is written, which is waited for for five seconds, or, where another application may go on with the turn, for as
   * long as it takes.
   *
   * @throws CastellanError `NOT_OWNER`; `JOURNAL_UNAVAILABLE` if that other application has to come to an end of its own
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

  /** Writes down what is to be remembered, and, if the session has just left a conversation or a place of it, which. */
  save(memory: SessionMemory, left?: LeftConversation): void {
    this.#note(this.#saved(memory), ...(left === undefined ? [] : [this.#leaving(left)]));
  }

  /** Writes it down; resolves when it is written. @throws CastellanError `JOURNAL_UNAVAILABLE`, `NOT_OWNER` */
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

  /** Writes nothing any more, whatever is still said: the session has ended, and nothing of it is to be kept. */
  seal(): void {
    this.#sealed = true;
  }

  /** The last approvals, newest first. @throws CastellanError `JOURNAL_UNAVAILABLE` */
  async approvals(limit: number): Promise<ApprovalEntry[]> {
    await this.#supervisorJournal.writer?.settled();
    return await this.#supervisorJournal.journal.approvals(this.#session, limit);
  }

  /** What the session has spent. @throws CastellanError `JOURNAL_UNAVAILABLE` */
  async usage(query: Omit<UsageQuery, "session">): Promise<UsageEntry[]> {
    return await this.#supervisorJournal.usage({ ...query, session: this.#session });
  }

  /** The same, as far as it is written. @throws CastellanError `JOURNAL_UNAVAILABLE` */
  async usageWritten(query: Omit<UsageQuery, "session">): Promise<UsageEntry[]> {
    return await this.#supervisorJournal.usageWritten({ ...query, session: this.#session });
  }

  /** The last approvals, newest first, as far as they are written. @throws CastellanError `JOURNAL_UNAVAILABLE` */
  async approvalsWritten(limit: number): Promise<ApprovalEntry[]> {
    await this.#supervisorJournal.writer?.caughtUp();
    return await this.#supervisorJournal.journal.approvals(this.#session, limit);
  }

  /** Why the supervisor's sessions may spend no more, if that is so. */
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

/** Whether the journal will never take it, whoever writes it. */
function isRefused(error: unknown): boolean {
  return CastellanError.is(error, "JOURNAL_UNAVAILABLE") && error.details.reason === "refused";
}

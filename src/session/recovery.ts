import { evidenceIn, type TranscriptEvidence } from "../claude/messages/transcript-evidence.ts";
import { startError } from "../claude/process-run.ts";
import { CastellanError } from "../errors.ts";
import type { TurnEntry } from "../journal/model/turn-entry.ts";
import type { SessionContext } from "./context/session-context.ts";
import type { SessionConversation } from "./context/session-conversation.ts";
import { settle, type TurnCut } from "./conversation/settlement.ts";
import { allMessages } from "./conversation/transcript.ts";
import type { BudgetMeter } from "./options/budget.ts";
import type { KnownSession } from "./persistence/supervisor-journal.ts";
import { NO_STEERS, steersOf } from "./persistence/turn-steers.ts";
import type { ProcessLaunch } from "./process/process-starter.ts";
import { isTemporaryJournalFault } from "./process/session-exit.ts";
import type { Intake } from "./turns/intake.ts";
import type { SessionSchedules } from "./turns/session-schedules.ts";

/** The parts of a session that the journal restores. */
interface RecoveringSession {
  readonly context: SessionContext;
  readonly conversation: SessionConversation;
  readonly dispatcher: { readonly intake: Intake };
  readonly meter: BudgetMeter;
  readonly output: { wakeupsLost(): void };
  readonly process: { readonly launch: ProcessLaunch };
  readonly schedules: SessionSchedules;
  /** Throws if the session has ended for good, which may happen during a read. */
  refuseIfEnded(): void;
}

/** Restores a session from the journal: its conversation, its unfinished turns, and its spending. */
export class Recovery {
  readonly #session: RecoveringSession;
  /** Why the session could not be restored, or undefined. */
  #blocker: CastellanError | undefined;
  /** Whether some of its turns wait only in the journal, after a quarantine. */
  #paused = false;
  /** Settles once another application has returned the session. */
  #returned: Promise<void> | undefined;

  constructor(session: RecoveringSession) {
    this.#session = session;
  }

  get #context(): SessionContext {
    return this.#session.context;
  }

  get #conversation(): SessionConversation {
    return this.#session.conversation;
  }

  get #intake(): Intake {
    return this.#session.dispatcher.intake;
  }

  /**
   * Restores the session from the journal.
   *
   * @param source begin with this session's conversation instead of the journal's
   * @throws CastellanError `JOURNAL_UNAVAILABLE`, `INVALID_OPTIONS` if another session has the conversation, or why the
   * session has ended in the meantime
   */
  async restore(known: KnownSession, source?: SessionConversation): Promise<void> {
    try {
      this.#session.refuseIfEnded();
      this.#context.journal.description.restore(known.entry);
      const resumed = this.#conversation.restore(known.entry, source);
      // The options may describe the session otherwise than before.
      if (this.#context.journal.description.isStale) this.#conversation.save();
      // The caller of `fork()` relies on the copy from then on.
      if (source !== undefined) await this.#conversation.written();
      this.#session.output.wakeupsLost();
      await this.#openRecord(known.turns);
      this.#session.refuseIfEnded();
      await this.loadSpending();
      await this.#takeBack(known.turns, resumed);
      const { jobs = [] } = known;
      if (jobs.length > 0) this.#session.schedules.restore(jobs);
      this.#blocker = undefined;
      this.#intake.restored();
    } catch (thrown) {
      const error = CastellanError.is(thrown) ? thrown : journalFailed(this.#context.who, thrown);
      this.#intake.restored(error);
      throw error;
    }
  }

  /** Records that the session cannot be restored; starts of its processes then fail with `error`. */
  fail(error: CastellanError): void {
    this.#blocker = error;
  }

  /** Has starts of its process wait for this: another application still has the session. */
  awaitReturn(returned: Promise<void>): void {
    this.#returned = returned;
  }

  /** Records that turns may wait only in the journal from now on. */
  pause(): void {
    this.#paused = true;
  }

  /**
   * Restores what is only in the journal, after a quarantine or a failed restore.
   *
   * @throws CastellanError `JOURNAL_UNAVAILABLE`, `START_FAILED` if it still cannot be restored
   */
  async resume(): Promise<void> {
    await this.#returned;
    this.#returned = undefined;
    if (this.#paused || this.#blocker !== undefined) {
      const known = await this.#context.journal.read();
      if (this.#blocker === undefined) await this.#takeBack(known.turns, true);
      else await this.restore(known).catch((error: CastellanError) => this.#refuseStart(error));
      this.#paused = false;
    }
    // The events of a process belong to the open record.
    const opening = this.#context.journal.opening.open();
    if (opening !== undefined) await opening.catch((error: CastellanError) => this.#refuseStart(error));
  }

  #refuseStart(error: CastellanError): never {
    const kind = isTemporaryJournalFault(error) ? "overload" : "bad_config";
    const fault = { class: kind, message: error.message } as const;
    throw startError("START_FAILED", this.#context.who, this.#context.clock, fault, error);
  }

  /** Lets the record be opened, at once if there are turns whose events follow. */
  async #openRecord(unfinished: readonly TurnEntry[]): Promise<void> {
    const { journal, settings } = this.#context;
    const { opening } = journal;
    // The option may have been removed since a turn asked.
    const asks = settings.approvals !== false || unfinished.some(({ state }) => state === "running");
    opening.allow({ unfinished, asks });
    if (unfinished.length > 0) await opening.open();
  }

  /** Loads earlier spending into the meter if there is a budget. @throws CastellanError `JOURNAL_UNAVAILABLE` */
  async loadSpending(): Promise<void> {
    if (this.#context.settings.budget === undefined) return;
    this.#session.meter.load(await this.#context.journal.usage({ by: ["day"] }));
    this.#session.refuseIfEnded();
  }

  /**
   * Restores the turns that had not ended. A turn that was running is run again or ends; if it ran in the resumed
   * conversation, that is cut back or continues from it.
   */
  async #takeBack(turns: readonly TurnEntry[], resumed: boolean): Promise<void> {
    const steers = await steersOf(this.#context.journal, turns);
    for (const turn of turns) {
      let cut: TurnCut | undefined;
      if (turn.state === "running") {
        const evidence = resumed ? await this.#evidenceOf(turn) : evidenceIn([], turn.promptId);
        this.#session.refuseIfEnded();
        const { onInterruptedTurn } = this.#context.settings;
        const end = settle(this.#context.who, turn, evidence, onInterruptedTurn, this.#context.newId());
        if (resumed) this.#conversation.take(end.conversation);
        cut = end.cut;
      }
      const prompt = await this.#context.journal.promptOf(turn);
      this.#session.refuseIfEnded();
      this.#context.journal.acceptAgain(turn, prompt);
      this.#intake.restore(turn, prompt, cut, steers.get(turn.id) ?? NO_STEERS);
    }
  }

  /** Reads what the transcript shows of an interrupted turn. An unreadable transcript may hide anything. */
  async #evidenceOf({ promptId }: TurnEntry): Promise<TranscriptEvidence> {
    const { launch } = this.#session.process;
    const said = await this.#conversation
      .bringTranscriptTo(launch)
      .then(() => allMessages(this.#conversation.now, launch))
      .catch(() => undefined);
    return said === undefined ? { ...evidenceIn([], promptId), touched: true } : evidenceIn(said, promptId);
  }
}

function journalFailed(who: string, thrown: unknown): CastellanError<"JOURNAL_UNAVAILABLE"> {
  const words = thrown instanceof Error ? thrown.message : String(thrown);
  const message = `${who}: the journal could not be read: ${words}`;
  return new CastellanError("JOURNAL_UNAVAILABLE", message, {
    details: { reason: thrown instanceof SyntaxError ? "damaged" : "failed" },
    cause: thrown,
  });
}

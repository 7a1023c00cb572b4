import type { SDKMessage } from "@anthropic-ai/claude-agent-sdk";
import type { TurnLine } from "../../capacity/turn-limiter.ts";
import type { Activation } from "../../claude/activation.ts";
import { CastellanError, type ErrorCode, type ExitRecord } from "../../errors.ts";
import { type CastellanEvents, publish } from "../../events.ts";
import type { ProcessOutlook } from "../context/process-outlook.ts";
import { factsOf, type SessionContext } from "../context/session-context.ts";
import type { SessionConversation } from "../context/session-conversation.ts";
import type { Signal } from "../context/session-signal.ts";
import { cutBy, interrupted } from "../context/turn-errors.ts";
import { isRunAgain } from "../conversation/settlement.ts";
import { typedCommand } from "../options/command.ts";
import type { TurnHold } from "../status/session-state.ts";
import type { CurrentTurn } from "../streams/current-turn.ts";
import type { FarTurn } from "../streams/far-turn.ts";
import type { TurnRecord } from "../streams/turn-record.ts";
import { commandProblem } from "./command-problem.ts";
import { Hold } from "./hold.ts";
import { Intake, type IntakeDispatcher } from "./intake.ts";
import { Mailbox } from "./mailbox.ts";
import { Steering } from "./steering.ts";
import { TurnFailures } from "./turn-failures.ts";
import { TurnMessages } from "./turn-messages.ts";
import type { TurnStart } from "./turn-start.ts";
import { TurnStopping } from "./turn-stopping.ts";
import { TurnUndoing } from "./turn-undoing.ts";
import { TurnWatches } from "./turn-watches.ts";
import { TurnsAtWork } from "./turns-at-work.ts";

/** Errors that stop a session here, although it may continue after its next start, or elsewhere. */
const PAUSES: ReadonlySet<ErrorCode> = new Set(["SUPERVISOR_STOPPED", "SESSION_QUARANTINED", "NOT_OWNER"]);

/** Sends the turns of a session to its process, one at a time and in order, and ends each exactly once. */
export class Dispatcher implements IntakeDispatcher {
  /** Accepts turns. */
  readonly intake: Intake;
  readonly #context: SessionContext;
  readonly #conversation: SessionConversation;
  readonly #signal: Signal;
  readonly #mailbox: Mailbox;
  readonly #hold: Hold;
  readonly #work: TurnsAtWork;
  readonly #process: ProcessOutlook;
  /** Reads the messages of the process, while it sends any. */
  #messages: TurnMessages | undefined;
  /** The turn whose beginning is being written. It still counts as waiting. */
  #beginning: TurnRecord | undefined;
  /** Settles once that is written and its consequences are queued in the journal. */
  #begun: Promise<void> | undefined;

  constructor(
    context: SessionContext,
    conversation: SessionConversation,
    process: ProcessOutlook,
    limiter: TurnLine,
    signal: Signal,
  ) {
    this.#context = context;
    this.#conversation = conversation;
    this.#signal = signal;
    this.#mailbox = new Mailbox(context.settings.mailboxLimit);
    this.#hold = new Hold(context.clock, context.random, signal);
    const hold = this.#hold;
    const work = new TurnsAtWork(context, process, limiter, hold, this.#mailbox, signal);
    this.#work = work;
    this.intake = new Intake(context, process, this.#mailbox, work, this, signal);
    this.#process = process;
  }

  /** Stops turns. */
  get stopping(): TurnStopping {
    return new TurnStopping(this.#context, this.#mailbox, this.#work, this.#signal);
  }

  /** Watches turns. */
  get watches(): TurnWatches {
    return new TurnWatches(this.#context, this.#hold, this.#work, this.stopping);
  }

  /** Gives messages to turns. */
  get steering(): Steering {
    return new Steering(this.#context, this.#work, this.#mailbox);
  }

  /** How many turns wait. */
  get waiting(): number {
    return this.#mailbox.length;
  }

  /** Whether turns wait, all of them from an earlier run of the application. */
  get resumes(): boolean {
    return this.#mailbox.isRestored;
  }

  /** Whether every waiting turn is in the journal, and no beginning is being written. */
  get isSettled(): boolean {
    return this.#beginning === undefined && [...this.#mailbox].every(({ state }) => state === "queued");
  }

  /** Whether a turn waits that needs a process. */
  get wanting(): boolean {
    return this.#mailbox.first?.state === "queued" && this.hold === undefined && !this.#work.isYielding;
  }

  /**
   * Whether the process works on a turn: a caller's, even if it has ended for its caller, or one of Claude Code's own.
   */
  get busy(): boolean {
    return this.#work.busy;
  }

  /** The running turn, if any. */
  get running(): CurrentTurn | undefined {
    return this.#work.running;
  }

  /** Whether the process would take a turn at once. */
  get free(): boolean {
    return this.#work.free;
  }

  /** The current hold, if any. */
  get hold(): TurnHold | undefined {
    return this.#hold.current;
  }

  /** Whether the next turn waits for a permit that other sessions' turns hold. */
  get inLine(): boolean {
    return this.#work.inLine;
  }

  /** What the process is doing, as far as its turn shows. */
  get work(): { readonly busy: boolean; readonly since: number; readonly openTools: number } {
    const current = this.running;
    return {
      busy: current !== undefined,
      since: current?.since ?? 0,
      openTools: current?.record.progress.openTools ?? 0,
    };
  }

  /** Applies changed settings. */
  reconfigure(): void {
    this.#mailbox.limit = this.#context.settings.mailboxLimit;
  }

  /** Resolves once the process works on no turn. */
  async quiet(): Promise<void> {
    await this.#work.quiet();
  }

  /** Resolves once all turns accepted so far, and Claude Code's own, have ended, with their number. */
  async finish(): Promise<number> {
    const running = [this.#work.current, this.#work.unprompted.current].flatMap((turn) => turn?.record ?? []);
    const turns = [...this.#mailbox, ...running];
    await Promise.allSettled(turns.map(({ result }) => result));
    return turns.length;
  }

  /** Starts to send turns to a process that is up. */
  attach(activation: Activation): void {
    this.#work.attach(activation);
    this.#hold.reopen();
    this.next();
  }

  /**
   * Sends no more turns to the process, which is to end. Its current turn may finish; waiting turns are for the next
   * process.
   */
  retire(): void {
    this.#work.retire();
  }

  /** Resolves once no turn's beginning is being written. */
  get begun(): Promise<void> {
    return this.#begun ?? Promise.resolve();
  }

  /** Begins no more turns, because another application takes over. Resolves once none runs here. */
  async yield(): Promise<void> {
    this.#work.yield();
    await this.quiet();
  }

  get #reader(): TurnMessages {
    this.#messages ??= this.#newReader();
    return this.#messages;
  }

  #newReader(): TurnMessages {
    const [context, conversation, signal] = [this.#context, this.#conversation, this.#signal];
    const [hold, work, mailbox] = [this.#hold, this.#work, this.#mailbox];
    const failures = new TurnFailures(context, this.#process, hold, work, signal);
    const undoing = new TurnUndoing(context, conversation, work);
    const { stopping, steering, watches } = this;
    const parts = { conversation, hold, work, failures, stopping, undoing, mailbox, watches, steering };
    return new TurnMessages(context, parts, signal);
  }

  /** Begins turns again, because no other application has taken over. */
  unyield(): void {
    this.#work.unyield();
    this.next();
  }

  /** Resolves once the journal has every waiting turn, or refuses it. */
  async admitted(): Promise<void> {
    for (;;) {
      const entering = [...this.#mailbox].filter(({ state }) => state === "accepted");
      if (entering.length === 0) break;
      await Promise.allSettled(entering.map(({ accepted }) => accepted));
    }
    await this.#begun;
  }

  /** Leaves all turns to another application, which has them from the journal; `follow` finds one there. */
  surrender(follow: (record: TurnRecord) => FarTurn): void {
    this.#hold.close();
    const current = this.#work.current?.record;
    if (current === undefined && this.#beginning === undefined) this.#work.leavePermitQueue();
    for (const record of this.#mailbox.empty()) record.follow(follow(record));
    if (current !== undefined && !current.ended) current.follow(follow(current));
  }

  /** Takes a message of the process. Returns whether it belongs to the current turn. */
  receive(message: SDKMessage): boolean {
    return this.#reader.receive(message);
  }

  /** Records that a tool is about to run. See {@link TurnMessages.toolBegins}. */
  async toolBegins(): Promise<void> {
    await this.#reader.toolBegins();
  }

  /** Handles the exit of the process: its turn runs again or ends; waiting turns keep waiting. */
  detach(exit: ExitRecord): void {
    this.#work.detach();
    this.#messages = undefined;
    this.#cutUnprompted(exit);
    const current = this.#work.takeCurrent();
    if (this.#beginning !== undefined) {
      // The prompt was never sent.
      this.#conversation.take({ type: "turn_undone", freshId: this.#context.newId() });
    }
    if (current === undefined) {
      if (this.#beginning === undefined) this.#work.leavePermitQueue();
      return;
    }
    // The turn may already have its result.
    if (current.end !== undefined) current.end();
    else this.#cut(current, exit);
  }

  /** Handles an exit during a caller's turn. */
  #cut(current: CurrentTurn, exit: ExitRecord): void {
    const { who, settings, newId, journal } = this.#context;
    const { record, uuid } = current;
    const { lastUuid, touched } = record.progress;
    const { attempts } = record;
    // A turn whose key was refused has done nothing that could not be repeated.
    const policy = current.rerun ? "retry_if_untouched" : settings.onInterruptedTurn;
    const again = !record.ended && current.stopping === undefined && isRunAgain({ touched, attempts }, policy);
    // The next start settles a turn that stays in the journal, and its fate in the conversation.
    if (record.left) return;
    const kept = touched && !again && current.displaced !== "rollback";
    const summary = record.progress.compaction?.summary;
    this.#conversation.take(
      kept ? { type: "turn_cut", lastUuid: lastUuid ?? uuid } : { type: "turn_undone", freshId: newId(), summary },
    );
    if (again) {
      record.requeued();
      this.#mailbox.putFirst(record);
      journal.requeued(record, "process_ended");
      this.watches.queue(record, record.queueTimeoutMs);
    } else {
      record.conversation = kept ? "kept" : "undone";
      const known = touched ? "after it had begun to answer; `details` has what had arrived" : "before it answered";
      record.fail("interrupted", cutBy(exit, who, record, `the turn was interrupted ${known}`));
    }
  }

  /** Handles an exit during a turn of Claude Code's own, which does not run again. */
  #cutUnprompted(exit: ExitRecord): void {
    const current = this.#work.takeUnprompted();
    if (current === undefined) return;
    const { record } = current;
    this.#conversation.take({ type: "turn_cut", lastUuid: record.progress.lastUuid });
    const what = "the turn that Claude Code had begun by itself was interrupted";
    record.fail("interrupted", cutBy(exit, this.#context.who, record, what));
  }

  /** Records a turn that Claude Code began by itself. */
  unpromptedBegan({ record }: CurrentTurn): void {
    this.#conversation.take({ type: "prompted" });
    this.intake.keep(record);
    publish("castellan:turn:begin", () => this.#beginningOf(record, record.id));
  }

  /** Claude Code's own work is over. `left` is a turn of its own that got no result. */
  unpromptedDone(left: CurrentTurn | undefined): void {
    if (left !== undefined) {
      this.#conversation.take({ type: "turn_cut", lastUuid: left.record.progress.lastUuid });
      left.record.fail("interrupted", interrupted(this.#context.who, left.record));
    }
    this.#work.turnOver();
  }

  /**
   * Ends all turns for their callers, because the session stops here. If it only pauses (its supervisor stops, it is
   * quarantined, or another application has the journal), durable turns stay in the journal and run after the next
   * start.
   *
   * @param why the reason, asked for if there is a turn: the stack of an error takes longer than all else here
   */
  dismiss(why: () => CastellanError): void {
    this.#hold.close();
    const unprompted = this.#work.unprompted.current?.record;
    const current = this.#work.current?.record;
    if (current === undefined && this.#beginning === undefined) this.#work.leavePermitQueue();
    const waiting = this.#mailbox.empty();
    if (waiting.length === 0 && unprompted === undefined && current === undefined) return;
    const reason = why();
    const pauses = (record: TurnRecord): boolean => PAUSES.has(reason.code) && record.durable;
    for (const record of waiting) {
      if (!pauses(record)) record.fail("cancelled", reason);
      else {
        // No caller has its id yet; whoever asked learns that it is not accepted.
        if (record.state === "accepted" && record.submitted) {
          this.#context.journal.withdraw(record, this.#beginning === record);
        }
        record.leave(reason);
      }
    }
    const interrupt = (record: TurnRecord): void => {
      const message = `${this.#context.who}: the turn was interrupted: ${reason.message}`;
      const details = record.partial;
      record.fail("interrupted", new CastellanError("TURN_INTERRUPTED", message, { details, cause: reason }));
    };
    if (unprompted !== undefined) interrupt(unprompted);
    if (current === undefined) return;
    if (pauses(current)) current.leave(reason);
    else interrupt(current);
  }

  /**
   * Begins the next turn, if one waits and the process is free. The journal records that before the process gets the
   * prompt.
   */
  next(): void {
    const { activation } = this.#work;
    const record = this.#mailbox.first;
    if (activation === undefined) this.#signal({ type: "wanted" });
    else if (record === undefined) this.#signal({ type: "idle" });
    if (this.#work.current !== undefined || this.#beginning !== undefined) return;
    if (!this.free || record?.state !== "queued") {
      this.#work.leavePermitQueue();
      return;
    }
    if (!this.#work.takePermit()) return;
    this.#beginning = record;
    this.#begins(record.promptKind === "command" ? this.#beginCommand(record, activation) : this.#beginWritten(record));
  }

  #begins(begun: Promise<void>): void {
    const over = (): void => {
      if (this.#begun === begun) this.#begun = undefined;
    };
    this.#begun = begun;
    begun.then(over, over);
  }

  /** Begins a command if the process knows it. */
  async #beginCommand(record: TurnRecord, activation: Activation | undefined): Promise<void> {
    const { who, clock } = this.#context;
    const name = typedCommand(record.prompt) ?? "";
    const problem = activation === undefined ? undefined : await commandProblem(who, name, activation, clock);
    // Check again: another process may know other commands, and another turn may now be first.
    const holds = activation === this.#work.activation && this.free && this.#mailbox.first === record;
    if (holds && problem === undefined) {
      await this.#beginWritten(record);
      return;
    }
    this.#beginning = undefined;
    if (holds && problem !== undefined) {
      this.#mailbox.remove(record);
      record.fail("failed", problem);
    }
    this.next();
  }

  /**
   * Reserves the process for a turn that is about to be accepted, if the turn would begin at once, so that the journal
   * records both in one write.
   */
  startWith(record: TurnRecord): TurnStart | undefined {
    if (this.#beginning !== undefined || this.#mailbox.first !== record || !this.free) return undefined;
    // A first prompt changes the conversation, which a refused turn must not. A command has to be known to the process.
    if (this.#conversation.now.kind !== "kept" || record.promptKind === "command") return undefined;
    // Its events are written after its acceptance, and what the process says would wait behind them for a reader.
    if (this.#context.journal.record.readers > 0 || !this.#work.takePermit()) return undefined;
    const promptId = this.#context.newId();
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#beginning = record;
    this.#begins(promise);
    return {
      promptId,
      accepted: () => {
        this.#begin(record, promptId);
        resolve();
      },
      refused: () => {
        this.#beginning = undefined;
        resolve();
      },
    };
  }

  /** Begins a turn once the journal has recorded it. */
  #beginWritten(record: TurnRecord): Promise<void> {
    const uuid = this.#context.newId();
    this.#conversation.take({ type: "prompted" });
    return this.#context.journal.begin(record, uuid).then(
      () => this.#begin(record, uuid),
      (error: CastellanError) => {
        // Another application has the journal, or the journal rejects this change for good.
        this.#beginning = undefined;
        this.#mailbox.remove(record);
        record.leave(error);
        this.next();
      },
    );
  }

  #begin(record: TurnRecord, uuid: string): void {
    this.#beginning = undefined;
    const { clock, journal } = this.#context;
    const { activation } = this.#work;
    if (activation === undefined || !this.free || this.#mailbox.first !== record) {
      // The turn ended or was put back while it was being written; the process has not received it.
      if (record.left || !record.ended) journal.requeued(record, "not_sent");
      this.next();
      return;
    }
    this.#mailbox.shift();
    // The conversation may have changed in the meantime.
    this.#conversation.take({ type: "prompted" });
    this.#work.begin({
      record,
      uuid,
      since: clock.monotonic(),
      startedAt: clock.now(),
      begun: false,
      stopping: undefined,
      touched: false,
      rerun: false,
      displaced: undefined,
      held: undefined,
      spent: [],
      end: undefined,
    });
    record.promptId = uuid;
    record.started();
    this.#signal({ type: "turn_started" });
    publish("castellan:turn:begin", () => this.#beginningOf(record, uuid));
    activation.send(
      uuid,
      this.steering.promptOf(record, uuid),
      record.promptKind !== "command" && record.promptKind !== "typed",
    );
  }

  #beginningOf(record: TurnRecord, promptId: string): CastellanEvents["castellan:turn:begin"] {
    return {
      ...factsOf(this.#context),
      turnId: record.id,
      origin: record.origin,
      promptId,
      attempt: record.attempts,
      queuedMs: this.#context.clock.monotonic() - record.since,
      conversationId: this.#conversation.now.id,
      model: this.#context.settings.sdk.model,
    };
  }
}

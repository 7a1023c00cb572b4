import type { SDKMessage, SDKResultMessage } from "@anthropic-ai/claude-agent-sdk";
import { type TurnLine, TurnPlace } from "../capacity/turn-line.ts";
import type { Activation } from "../claude/activation.ts";
import { apiFaultOf } from "../claude/api-fault.ts";
import { contentRefusalOf } from "../claude/content-refusal.ts";
import { commandFailureOf, failureOf, type TurnFailure, wasInterrupted } from "../claude/failure.ts";
import { scheduleDeadline } from "../claude/patience.ts";
import { formatDuration } from "../duration.ts";
import { CastellanError, type ConversationFate, type ErrorCode, type ExitClass, type ExitRecord } from "../errors.ts";
import { type CastellanEvents, tell } from "../events.ts";
import { type ModelSpending, type Spending, sumOf } from "../journal/spending.ts";
import { typedCommand } from "./command.ts";
import { commandProblem } from "./command-problem.ts";
import { type Decision, fateOf } from "./conversation-fate.ts";
import { spentBy, totalsOf } from "./cost.ts";
import { type CurrentTurn, isAbout, isAboutAnother, lifecycleOf } from "./current-turn.ts";
import { Hold, type Wait } from "./hold.ts";
import { Intake } from "./intake.ts";
import { Mailbox } from "./mailbox.ts";
import { readOutput } from "./output-schema.ts";
import { replyOf } from "./reply.ts";
import type { SessionDeps } from "./session-context.ts";
import type { SessionConversation } from "./session-conversation.ts";
import type { SessionJournal } from "./session-journal.ts";
import type { RefusedKey } from "./session-key.ts";
import type { SessionSettings } from "./session-settings.ts";
import { isRunAgain } from "./settlement.ts";
import type { TurnRecord } from "./turn-record.ts";
import { type CapacityLack, cancelled, TurnWatches } from "./turn-watches.ts";
import type { PromptStage } from "./unprompted.ts";
import { UnpromptedTurns } from "./unprompted-turns.ts";

/** How long a process may take to end a turn that it was told to stop. Then it is killed. */
const YIELD_MS = 5_000;

/** Why a session may go no further here, and yet go on at its next start, or elsewhere. */
const PAUSES: ReadonlySet<ErrorCode> = new Set(["SUPERVISOR_STOPPED", "SESSION_QUARANTINED", "NOT_OWNER"]);

/** How the process is done with a turn. */
interface Ending {
  readonly result: SDKResultMessage;
  readonly failure: TurnFailure | undefined;
  readonly interrupted: boolean;
  readonly spent: Spending;
}

/** What a dispatcher tells its session. */
export interface DispatcherEvents {
  /** The process works, on a turn of a caller or by itself. */
  turnStarted(): void;
  /** The process is done with its turn, and has nothing to do by itself either. */
  turnEnded(): void;
  /** Claude Code has begun a turn by itself, or that has come to its end. */
  unprompted(record: TurnRecord): void;
  spent(models: readonly ModelSpending[]): void;
  /** Turns are held back, or no longer. */
  held(wait: Wait | undefined): void;
  /** The process has nothing to do, and nothing waits. */
  rests(): void;
  /** Without a process: one may be wanted from now on, or no longer. */
  wanted(): void;
  /** Whether there is no process because none was wanted. */
  asleep(): boolean;
  /** The key of the API that its turns use, as a digest. */
  apiKey(): string;
  /** What keeps the session from having a process, if something does. */
  lacks(): CapacityLack | undefined;
  /** The conversation has been cut back, which only another process can take up. */
  renew(): void;
  /** What is known of the key of the process, which the API refuses. */
  keyRefused(): RefusedKey;
  /** It has been cut back to the last turn that worked, because the API refuses what stands in it. */
  cutBack(why: string): void;
  /** The process is of no use as it is. */
  fault(fault: { readonly class: ExitClass; readonly message: string }): void;
}

/**
 * Hands the turns of a session to its process, one at a time and in order, and sees to it that each ends exactly once.
 */
export class Dispatcher {
  /** Takes in the turns that are asked for. */
  readonly intake: Intake;
  readonly #who: string;
  #settings: SessionSettings;
  readonly #deps: SessionDeps;
  readonly #events: DispatcherEvents;
  readonly #journal: SessionJournal;
  readonly #conversation: SessionConversation;
  readonly #mailbox: Mailbox;
  readonly #watches: TurnWatches;
  readonly #hold: Hold;
  /** Its place in the line of those who have a turn to run. */
  readonly #place: TurnPlace;
  #activation: Activation | undefined;
  /** Whether the process is being ended; then nothing more is handed to it. */
  #retired = false;
  /** Whether another process is to take the conversation up as soon as this one has nothing to do. */
  #stale = false;
  /** Whether what waits is for another one to do; then nothing more begins here. */
  #yielding = false;
  #current: CurrentTurn | undefined;
  /** What Claude Code does by itself. */
  readonly #unprompted: UnpromptedTurns;
  /** The turn of which it is being written that it begins. It still waits. */
  #beginning: TurnRecord | undefined;
  /** Settles when that is written, and what follows from it has been given to the journal. */
  #begun: Promise<void> = Promise.resolve();
  /** Resolves when no turn runs. */
  #quiet: PromiseWithResolvers<void> | undefined;
  /** Whether the process says when it takes up a prompt; then its word is waited for. */
  #announces = false;

  constructor(
    who: string,
    settings: SessionSettings,
    journal: SessionJournal,
    conversation: SessionConversation,
    line: TurnLine,
    deps: SessionDeps,
    events: DispatcherEvents,
  ) {
    this.#who = who;
    this.#place = new TurnPlace(
      line,
      () => events.apiKey(),
      () => this.#next(),
    );
    this.#settings = settings;
    this.#journal = journal;
    this.#conversation = conversation;
    this.#deps = deps;
    this.#events = events;
    this.#mailbox = new Mailbox(settings.mailboxLimit);
    this.#watches = new TurnWatches(who, deps.clock, {
      cut: (record, as, error) => this.#cut(record, as, error),
      waits: (record) => this.#withdraw(record),
      held: () => this.wait,
      lacks: () => events.lacks() ?? this.#turnsLack,
    });
    this.intake = new Intake(who, settings, journal, this.#mailbox, this.#watches, deps, {
      free: () => this.free || events.asleep(),
      busy: () => this.busy,
      ready: () => this.#next(),
      displace: (rollback) => this.#displace(rollback),
    });
    this.#unprompted = new UnpromptedTurns(who, deps, {
      works: () => events.turnStarted(),
      began: ({ record }) => {
        this.#conversation.take({ type: "prompted" });
        this.intake.keep(record);
        tell("castellan:turn:begin", () => this.#beginningOf(record, record.id));
        events.unprompted(record);
      },
      rests: (left) => this.#rested(left),
    });
    this.#hold = new Hold(deps.clock, deps.random, () => {
      events.held(undefined);
      this.#next();
    });
  }

  /** How many turns wait. */
  get waiting(): number {
    return this.#mailbox.length;
  }

  /** Whether there is a turn for a process to begin. */
  get wanting(): boolean {
    return this.#mailbox.first?.state === "queued" && this.wait === undefined;
  }

  /** Whether the process works on a turn, be it one that is over for its caller, or one that Claude Code begins by itself. */
  get busy(): boolean {
    return this.#current !== undefined || this.#unprompted.busy;
  }

  /** The turn that runs, if one does. */
  get running(): CurrentTurn | undefined {
    return this.#unprompted.current ?? this.#current;
  }

  /** What turns are held back for, if they are. */
  get wait(): Wait | undefined {
    return this.#hold.wait;
  }

  /** Whether a turn waits until another session's is over. */
  get inLine(): boolean {
    return this.#place.limit !== undefined;
  }

  get #turnsLack(): CapacityLack | undefined {
    const { limit, others } = this.#place;
    return limit === undefined ? undefined : { maxConcurrentTurns: limit, busy: others };
  }

  /** What the process is known to do, as far as its turn shows it. */
  get work(): { readonly busy: boolean; readonly since: number; readonly openTools: number } {
    const current = this.running;
    return {
      busy: current !== undefined,
      since: current?.since ?? 0,
      openTools: current?.record.progress.openTools ?? 0,
    };
  }

  /** Goes on with changed settings. */
  reconfigure(settings: SessionSettings): void {
    this.#settings = settings;
    this.intake.reconfigure(settings);
    this.#mailbox.limit = settings.mailboxLimit;
  }

  /** Resolves when the process works on no turn. */
  async quiet(): Promise<void> {
    if (!this.busy) return;
    this.#quiet ??= Promise.withResolvers();
    await this.#quiet.promise;
  }

  /** Resolves when all turns that have been accepted so far have ended; says how many there were, and Claude Code's own. */
  async finish(): Promise<number> {
    const running = [this.#current, this.#unprompted.current].flatMap((turn) => turn?.record ?? []);
    const turns = [...this.#mailbox, ...running];
    await Promise.allSettled(turns.map(({ result }) => result));
    return turns.length;
  }

  /** A process is up; turns go to it from now on. */
  attach(activation: Activation): void {
    this.#activation = activation;
    this.#retired = false;
    this.#stale = false;
    this.#hold.reopen();
    this.#announces = false;
    this.#next();
  }

  /** The process is to end. The turn that it works on may still finish; those that wait are for the next one. */
  retire(): void {
    this.#retired = true;
  }

  /** Resolves when of no turn it is still being written that it begins. */
  get begun(): Promise<void> {
    return this.#begun;
  }

  /** What waits is for another one to do. Resolves when no turn runs here any more. */
  async yield(): Promise<void> {
    this.#yielding = true;
    await this.quiet();
  }

  /** The process is gone. Its turn is run again or ends, and those that wait go on waiting. */
  detach(exit: ExitRecord): void {
    this.#activation = undefined;
    this.#cutUnprompted(exit);
    const current = this.#takeCurrent();
    if (this.#beginning !== undefined) {
      // It was to be handed its prompt, and never was.
      this.#conversation.take({ type: "turn_undone", freshId: this.#deps.newId() });
    }
    if (current === undefined) {
      if (this.#beginning === undefined) this.#place.release();
      return;
    }
    if (current.end !== undefined) {
      // It had come to its end.
      current.end();
      return;
    }
    const { record, uuid } = current;
    const { lastUuid } = record.progress;
    const { touched } = record.progress;
    const { attempts } = record;
    // One whose key was refused has done nothing that anybody could mind to be done again.
    const policy = current.anew ? "retry_if_untouched" : this.#settings.onInterruptedTurn;
    const again = !record.ended && current.stopping === undefined && isRunAgain({ touched, attempts }, policy);
    // What becomes of one that goes on in the journal, and of the conversation with it, is settled when it is taken up again.
    if (record.left) return;
    const kept = touched && !again && current.displaced !== "rollback";
    const summary = record.progress.compaction?.summary;
    this.#conversation.take(
      kept
        ? { type: "turn_cut", lastUuid: lastUuid ?? uuid }
        : { type: "turn_undone", freshId: this.#deps.newId(), summary },
    );
    if (again) {
      record.requeued();
      this.#mailbox.putFirst(record);
      this.#journal.requeued(record);
      this.#watches.queue(record, record.queueTimeoutMs);
    } else {
      record.conversation = kept ? "kept" : "undone";
      const details = { ...record.partial, exit };
      const known = touched ? "after it had begun to answer; `details` has what had arrived" : "before it answered";
      const message = `${this.#who}: the turn was cut ${known}: ${withoutStop(exit.message)}.`;
      record.fail("interrupted", new CastellanError("TURN_INTERRUPTED", message, { details }));
    }
  }

  /** A message of the process. Whether it belongs to the turn that it works on. */
  receive(message: SDKMessage): boolean {
    if (lifecycleOf(message) !== undefined) this.#announces = true;
    const current = this.#current;
    const claimed = current !== undefined && this.#isOf(current, message);
    const unprompted = claimed ? undefined : this.#unprompted.take(message, this.#stage);
    tell("castellan:session:message", () => ({
      session: this.#settings.name,
      supervisor: this.#journal.supervisor,
      turnId: claimed ? current.record.id : unprompted?.record.id,
      message,
    }));
    const fault = apiFaultOf(message);
    if (fault?.class === "quota") this.#holdFor(() => this.#hold.forQuota(fault.until));
    if (fault?.class === "auth") this.#giveUp(unprompted ?? current, fault);
    if (unprompted !== undefined) {
      if (unprompted.record.ended) unprompted.record.progress.add(message);
      else unprompted.record.append(message);
    }
    if (!claimed) {
      if (message.type === "result") this.#finishUnprompted(message);
      return unprompted !== undefined;
    }
    const { record } = current;
    const anew = message.type === "result" && this.#runsAnew(current, failureOf(message, record.progress.error));
    if (message.type === "result" && !anew && this.#wasTriedInVain(current, message)) {
      this.#putBack(current, message);
      return true;
    }
    // The result of a try that is run again is none of the turn's.
    if (record.ended || anew) record.progress.add(message);
    else record.append(message);
    if (record.progress.touched) this.#touch(current);
    if (anew) this.#spent(message);
    else if (message.type === "result") this.#finish(current, message);
    return true;
  }

  /** Whether a message belongs to the turn that runs, which begins with its first one. */
  #isOf(current: CurrentTurn, message: SDKMessage): boolean {
    if (current.end !== undefined) return false;
    if (!current.begun) {
      const initiated = !this.#announces && message.type === "system" && message.subtype === "init";
      if (!initiated && !isAbout(message, current.uuid)) return false;
      current.begun = true;
      // It could not be taken back any more.
      if (current.stopping !== undefined) this.#stopBegun(current);
    }
    return !isAboutAnother(message, current.uuid) && !current.record.progress.isForeign(message);
  }

  /** A tool is about to run. Resolves when that can no longer be forgotten, so that its turn is not taken for untouched. */
  async toolBegins(): Promise<void> {
    const current = this.#unprompted.busy ? undefined : this.#current;
    this.#unprompted.current?.record.progress.touch();
    if (current === undefined) return;
    current.record.progress.touch();
    this.#touch(current);
    await this.#journal.caughtUp(current.record);
  }

  /** Claude has begun to answer or to act, which is written once. */
  #touch(current: CurrentTurn): void {
    if (current.touched) return;
    current.touched = true;
    this.#journal.touched(current.record);
  }

  /** Stops a turn because its caller wants it; resolves when it has ended. */
  async interrupt(record: TurnRecord): Promise<void> {
    if (this.#withdraw(record)) record.fail("cancelled", cancelled(this.#who, record));
    else this.#stop(record);
    await record.result.catch(() => {});
    await record.recorded;
  }

  /** Stops the turn that runs, if one does; resolves when it has ended. */
  async interruptCurrent(): Promise<void> {
    if (this.running !== undefined) await this.interrupt(this.running.record);
  }

  /** Stops the turn that runs, and cancels those that wait; resolves when all have ended and the process is done with them. */
  async cancelAll(): Promise<void> {
    // Those that wait first, so that none of them begins.
    const waiting = [...this.#mailbox].map((record) => this.interrupt(record));
    if (this.#unprompted.current !== undefined) waiting.push(this.interruptCurrent());
    if (this.#current !== undefined) waiting.push(this.interrupt(this.#current.record));
    await Promise.all(waiting);
    await this.quiet();
  }

  /**
   * Ends all turns for their callers, because the session goes no further. With its supervisor, in quarantine, or when another
   * application has the journal, it only pauses: turns that somebody will come back for stay in the journal, and run when the
   * session is started again.
   */
  dismiss(reason: CastellanError): void {
    this.#hold.close();
    const pauses = (record: TurnRecord): boolean => PAUSES.has(reason.code) && record.durable;
    for (const record of this.#mailbox.empty()) {
      if (!pauses(record)) record.fail("cancelled", reason);
      else {
        // Nobody has been told of it yet, and whoever asked is told that it is not accepted.
        if (record.state === "accepted" && record.submitted) this.#journal.withdraw(record);
        record.leave(reason);
      }
    }
    const interrupt = (record: TurnRecord): void => {
      const message = `${this.#who}: the turn was cut: ${reason.message}`;
      const details = record.partial;
      record.fail("interrupted", new CastellanError("TURN_INTERRUPTED", message, { details, cause: reason }));
    };
    const unprompted = this.#unprompted.current?.record;
    if (unprompted !== undefined) interrupt(unprompted);
    const record = this.#current?.record;
    if (record === undefined) {
      if (this.#beginning === undefined) this.#place.release();
    } else if (pauses(record)) record.leave(reason);
    else interrupt(record);
  }

  /** Whether the process would take a turn at once. */
  get free(): boolean {
    const { wait } = this.#hold;
    const up = this.#activation !== undefined && !this.#retired && !this.#yielding && !this.#activation.ending;
    return up && !this.busy && wait === undefined;
  }

  /** Begins the next turn, if there is one and the process is free. It is written down before the process hears of it. */
  #next(): void {
    const record = this.#mailbox.first;
    if (this.#activation === undefined) this.#events.wanted();
    else if (record === undefined) this.#events.rests();
    if (this.#current !== undefined || this.#beginning !== undefined) return;
    if (!this.free || record?.state !== "queued") {
      this.#place.release();
      return;
    }
    if (!this.#place.take()) return;
    this.#beginning = record;
    this.#begun =
      record.promptKind === "command" ? this.#beginCommand(record, this.#activation) : this.#beginWritten(record);
  }

  /** Begins a command, unless the process does not know it. */
  async #beginCommand(record: TurnRecord, activation: Activation | undefined): Promise<void> {
    const name = typedCommand(record.prompt) ?? "";
    const problem =
      activation === undefined ? undefined : await commandProblem(this.#who, name, activation, this.#deps.clock);
    // Another process may know another command, and what came between may go before.
    const holds = activation === this.#activation && this.free && this.#mailbox.first === record;
    if (holds && problem === undefined) {
      await this.#beginWritten(record);
      return;
    }
    this.#beginning = undefined;
    if (holds && problem !== undefined) {
      this.#mailbox.remove(record);
      record.fail("failed", problem);
    }
    this.#next();
  }

  /** Begins a turn when it is written that it does. */
  #beginWritten(record: TurnRecord): Promise<void> {
    const uuid = this.#deps.newId();
    this.#conversation.take({ type: "prompted" });
    return this.#journal.begin(record, uuid).then(
      () => this.#begin(record, uuid),
      (error: CastellanError) => {
        // The journal is another application's by now, or will never take this.
        this.#beginning = undefined;
        this.#mailbox.remove(record);
        record.leave(error);
        this.#next();
      },
    );
  }

  #begin(record: TurnRecord, uuid: string): void {
    this.#beginning = undefined;
    const activation = this.#activation;
    if (activation === undefined || !this.free || this.#mailbox.first !== record) {
      // What came between was faster; the process has not heard of it.
      if (record.left || !record.ended) this.#journal.requeued(record);
      this.#next();
      return;
    }
    this.#mailbox.shift();
    // It may be another conversation by now.
    this.#conversation.take({ type: "prompted" });
    this.#current = {
      record,
      uuid,
      since: this.#deps.clock.monotonic(),
      startedAt: this.#deps.clock.now(),
      begun: false,
      stopping: undefined,
      touched: false,
      anew: false,
      displaced: undefined,
      end: undefined,
    };
    record.started();
    this.#events.turnStarted();
    tell("castellan:turn:begin", () => this.#beginningOf(record, uuid));
    activation.send(uuid, record.prompt, record.promptKind !== "command" && record.promptKind !== "typed");
  }

  #beginningOf(record: TurnRecord, promptId: string): CastellanEvents["castellan:turn:begin"] {
    return {
      session: this.#settings.name,
      supervisor: this.#journal.supervisor,
      turnId: record.id,
      origin: record.origin,
      promptId,
      attempt: record.attempts,
      queuedMs: this.#deps.clock.monotonic() - record.since,
      conversationId: this.#conversation.now.id,
      model: this.#settings.sdk.model,
    };
  }

  /** How far the prompt has come that the process has, if it has one. */
  get #stage(): PromptStage {
    if (this.#current === undefined || this.#current.end !== undefined) return "none";
    // A process that does not say when it takes up a prompt has taken it up.
    return this.#current.begun || !this.#announces ? "begun" : "waits";
  }

  #finish(current: CurrentTurn, result: SDKResultMessage): void {
    const { record } = current;
    const spent = this.#spent(result);
    record.costUsd = spent.costUsd;
    const undoneCommand = commandFailureOf(result, record.progress);
    const failure = failureOf(result, record.progress.error) ?? undoneCommand;
    // A command that is stopped says that it has failed.
    const interrupted = wasInterrupted(result) || (undoneCommand !== undefined && current.stopping !== undefined);
    const ending = { result, failure, interrupted, spent };
    const end = (fate: ConversationFate): void => {
      record.conversation = fate;
      this.#end(current, ending);
      if (fate === "cut_back") this.#events.cutBack(withoutStop(failure?.message ?? ""));
    };
    const decision = this.#decide(current, ending);
    if (decision.fate === "kept") {
      this.#conversation.take({ type: "turn_kept", lastUuid: record.progress.lastUuid });
      this.#over(() => end("kept"));
    } else if (failure?.class === "auth") {
      // Its process is ended in any case.
      this.#conversation.take({ type: "turn_undone", freshId: this.#deps.newId() });
      this.retire();
      this.#over(() => end(decision.fate));
    } else this.#takeOut(current, decision, end);
  }

  #decide({ record, displaced }: CurrentTurn, { result, failure, interrupted }: Omit<Ending, "spent">): Decision {
    const { touched, compaction } = record.progress;
    const succeeded = failure === undefined && !interrupted && result.subtype === "success";
    return fateOf({
      // One that was faster than the wish to take it back has been answered, and stands.
      answered: succeeded && !(displaced === "rollback" && record.ended),
      touched,
      displaced,
      refusal: contentRefusalOf(result, failure),
      compaction: compaction?.state,
      prompt: record.prompt,
    });
  }

  /** Takes a turn out of the conversation and ends it then. The process forgets it, or another one takes the conversation up. */
  #takeOut(current: CurrentTurn, { fate, suspect }: Decision, end: (fate: ConversationFate) => void): void {
    const { lastUuid, compaction } = current.record.progress;
    const { id } = this.#conversation.now;
    const summary = compaction?.summary;
    this.#conversation.take({ type: "turn_undone", freshId: this.#deps.newId(), summary, suspect });
    // A process would forget it, and keep the summary; what was said before is to be had from the transcript.
    const elsewhere = suspect || summary !== undefined || this.#conversation.now.id !== id;
    if (elsewhere || this.#activation === undefined) {
      this.#over(() => end(fate), { stale: true });
      return;
    }
    current.stopping?.cancel();
    current.end = () => end(fate);
    void this.#activation.rewind(current.uuid).then((rewound) => {
      if (this.#current !== current) return;
      if (rewound === "overtaken" && this.#unprompted.busy) {
        // What Claude Code works on by now goes on from it.
        this.#conversation.take({ type: "turn_kept", lastUuid });
        this.#over(() => end("kept"));
        return;
      }
      this.#over(() => end(fate), { stale: rewound !== "done" && rewound !== "absent" });
    });
  }

  /** The process is done with the turn of a caller. `stale` says that another one has to take up the conversation. */
  #over(end: () => void, { stale = false } = {}): void {
    this.#takeCurrent();
    if (stale) this.#retireStale();
    end();
    this.#turnOver();
    this.#next();
  }

  #retireStale(): void {
    this.#stale = true;
    this.retire();
  }

  /** Ends a turn of a caller by its result. */
  #end(current: CurrentTurn, { result, failure, interrupted, spent }: Ending): void {
    const { record, since } = current;
    if (interrupted) record.fail("interrupted", this.#interrupted(record));
    else if (failure !== undefined || result.subtype !== "success") {
      this.#fail(current, failure ?? { message: "no reason was given", class: "unknown" });
    } else {
      this.#hold.succeeded();
      const durationMs = this.#deps.clock.monotonic() - since;
      // A command of Claude Code's own, such as `/compact`, answers no data.
      const reader = result.local_command === undefined ? record.output : undefined;
      const read = readOutput(result.structured_output, reader);
      if ("structured" in read) {
        record.complete(replyOf(result, { id: record.id, spent, durationMs, ...read }), result.structured_output);
      }
      if ("problem" in read)
        this.#fail(current, { class: "turn", message: `the answer has not the form asked for: ${read.problem}` });
    }
  }

  /** The process is done with a turn, of whoever. */
  #turnOver(): void {
    if (this.busy) return;
    this.#settleQuiet();
    this.#events.turnEnded();
    if (!this.#stale) return;
    this.#stale = false;
    this.#events.renew();
  }

  #settleQuiet(): void {
    this.#quiet?.resolve();
    this.#quiet = undefined;
  }

  /** A result that answers no caller: of a turn that Claude Code began by itself. */
  #finishUnprompted(result: SDKResultMessage): void {
    const spent = this.#spent(result);
    const current = this.#unprompted.current;
    if (current === undefined) return;
    const { record, since } = current;
    record.costUsd = spent.costUsd;
    const failure = failureOf(result, record.progress.error);
    const { touched, lastUuid, compaction } = record.progress;
    // What it was begun on, which Claude has to be told, stays also if it had not begun to answer.
    const interrupted = wasInterrupted(result);
    const cutBack = touched && this.#decide(current, { result, failure, interrupted }).fate === "cut_back";
    if (cutBack) {
      this.#conversation.take({ type: "turn_undone", freshId: this.#deps.newId(), summary: compaction?.summary });
      this.#retireStale();
      this.#events.cutBack(withoutStop(failure?.message ?? ""));
    } else this.#conversation.take({ type: "turn_kept", lastUuid });
    record.conversation = cutBack ? "cut_back" : "kept";
    if (interrupted) record.fail("interrupted", this.#interrupted(record));
    else if (failure !== undefined || result.subtype !== "success") {
      this.#fail(current, failure ?? { message: "no reason was given", class: "unknown" });
    } else {
      this.#hold.succeeded();
      const durationMs = this.#deps.clock.monotonic() - since;
      record.complete(replyOf(result, { id: record.id, spent, durationMs, structured: undefined }));
    }
    this.#unprompted.end();
    this.#events.unprompted(record);
  }

  /** Claude Code has nothing to do by itself any more. `left` is a turn of its own of which it has told no result. */
  #rested(left: CurrentTurn | undefined): void {
    if (left !== undefined) {
      this.#conversation.take({ type: "turn_cut", lastUuid: left.record.progress.lastUuid });
      left.record.fail("interrupted", this.#interrupted(left.record));
      this.#events.unprompted(left.record);
    }
    this.#turnOver();
    this.#next();
  }

  /** The process is gone in a turn that Claude Code had begun by itself, which nobody begins again. */
  #cutUnprompted(exit: ExitRecord): void {
    const current = this.#unprompted.gone();
    if (current === undefined) return;
    const { record } = current;
    this.#conversation.take({ type: "turn_cut", lastUuid: record.progress.lastUuid });
    const message = `${this.#who}: the turn that Claude Code had begun by itself was cut: ${withoutStop(exit.message)}.`;
    const details = { ...record.partial, exit };
    record.fail("interrupted", new CastellanError("TURN_INTERRUPTED", message, { details }));
    this.#events.unprompted(record);
  }

  #interrupted(record: TurnRecord): CastellanError<"TURN_INTERRUPTED"> {
    const message = `${this.#who}: the turn was interrupted; \`details\` has what had arrived.`;
    return new CastellanError("TURN_INTERRUPTED", message, { details: record.partial });
  }

  /** Whether the turn has only shown that the account cannot pay yet, which was known while it waited. */
  #wasTriedInVain({ record, stopping, displaced }: CurrentTurn, result: SDKResultMessage): boolean {
    if (failureOf(result, record.progress.error)?.class !== "billing") return false;
    const stands = !record.ended && stopping === undefined && displaced === undefined;
    return stands && !record.progress.touched && this.#hold.hasHeld(record.since);
  }

  /** Puts a turn back in its place, as if it had not been handed out; also in the conversation. */
  #putBack(current: CurrentTurn, result: SDKResultMessage): void {
    const { record } = current;
    const failure = failureOf(result, record.progress.error);
    this.#spent(result);
    this.#takeOut(current, { fate: "undone", suspect: false }, (fate) => {
      if (fate === "kept" || record.ended) {
        record.conversation = fate;
        this.#fail(current, failure ?? { class: "billing", message: "the account cannot pay" });
        return;
      }
      this.#holdFor(() => this.#hold.forBilling());
      record.putBack();
      this.#mailbox.putFirst(record);
      this.#journal.putBack(record);
      this.#watches.putBack(record);
    });
  }

  /** What a result has added to the costs, which are written down. */
  #spent(result: SDKResultMessage): Spending {
    const models = spentBy(result, this.#conversation.totals);
    this.#conversation.totals = totalsOf(result);
    this.#journal.spent(models);
    this.#events.spent(models);
    return sumOf(models);
  }

  /** Stops the turn that runs, because another one takes its place. */
  #displace(rollback: boolean): void {
    const current = this.#current;
    if (current === undefined) return;
    if (rollback || current.displaced === undefined) current.displaced = rollback ? "rollback" : "interrupt";
    this.#stopCurrent(current);
  }

  /** Ends a turn that the process says has failed, and holds the next ones back if they would fail alike. */
  #fail({ record }: CurrentTurn, failure: TurnFailure): void {
    const { message: words, until, ...facts } = failure;
    const holds = failure.class === "overload" || failure.class === "quota" || failure.class === "billing";
    if (failure.class === "overload") this.#holdFor(() => this.#hold.forOverload());
    if (failure.class === "billing") this.#holdFor(() => this.#hold.forBilling());
    if (until !== undefined) this.#holdFor(() => this.#hold.forQuota(until));
    const why = withoutStop(words) + (failure.class === "auth" ? OF_REFUSED_KEY[this.#events.keyRefused()] : "");
    const { wait } = this;
    const details = {
      ...record.partial,
      ...facts,
      ...(wait === undefined || !holds ? {} : { class: wait.for, retryAt: wait.until }),
    };
    const goesOn =
      record.conversation === "cut_back" ? "; the conversation goes on from the last turn that worked" : "";
    const message = `${this.#who}: the turn failed: ${why}${goesOn}.`;
    record.fail("failed", new CastellanError("TURN_FAILED", message, { details }));
    if (failure.class === "auth") this.#condemn({ class: "auth", message: why });
  }

  /** The API does not accept the key, and Claude Code would go on trying. */
  #giveUp(current: CurrentTurn | undefined, failure: TurnFailure & { readonly class: "auth" }): void {
    if (current === undefined) this.#condemn(failure);
    else if (!this.#runsAnew(current, failure)) this.#fail(current, failure);
  }

  /**
   * Whether a turn whose key was refused, or whose account cannot pay, is run by another process, which has another key; then this
   * one gets no more. A turn that Claude has begun to answer is not.
   */
  #runsAnew(current: CurrentTurn, failure: TurnFailure | undefined): boolean {
    if (failure?.class !== "auth" && failure?.class !== "billing") return false;
    const { record, stopping } = current;
    if (current.anew) return true;
    // One that Claude Code began by itself is begun again by nobody.
    if (record.origin !== "caller") return false;
    if (record.ended || stopping !== undefined || this.#events.keyRefused() !== "changed") return false;
    const { progress, attempts } = record;
    current.anew = isRunAgain({ touched: progress.touched, attempts }, "retry_if_untouched");
    if (current.anew) this.#condemn({ class: "auth", message: withoutStop(failure.message) });
    return current.anew;
  }

  /** The process gets no more turns. */
  #condemn(fault: { readonly class: "auth"; readonly message: string }): void {
    this.#activation = undefined;
    this.#events.fault(fault);
  }

  #holdFor(begin: () => void): void {
    begin();
    this.#events.held(this.#hold.wait);
  }

  /** Ends a turn for its caller at once; the process is told to stop, and the next turn waits until it has. */
  #cut(record: TurnRecord, as: "timed_out" | "cancelled" | "interrupted", error: CastellanError): void {
    this.#withdraw(record);
    record.fail(as, error);
    this.#stop(record);
  }

  /** Takes a turn out of the mailbox. Whether it was there. */
  #withdraw(record: TurnRecord): boolean {
    const waited = this.#mailbox.remove(record);
    // It may have been what a process, or room for its turn, was wanted for.
    if (waited) this.#next();
    return waited;
  }

  /** Stops the turn, if the process has it. */
  #stop(record: TurnRecord): void {
    const turns = [this.#current, this.#unprompted.current];
    const current = turns.find((turn) => turn?.record === record);
    if (current !== undefined) this.#stopCurrent(current);
  }

  #stopCurrent(current: CurrentTurn): void {
    if (current.stopping !== undefined || current.end !== undefined) return;
    if (current.begun || !this.#announces) this.#stopBegun(current);
    else void this.#takeBack(current);
  }

  #stopBegun(current: CurrentTurn): void {
    current.stopping?.cancel();
    current.stopping = scheduleDeadline(this.#deps.clock, YIELD_MS, () => {
      const message = `it did not stop its turn within ${formatDuration(YIELD_MS)} of being told to`;
      void this.#activation?.kill({ class: "stalled", message });
    });
    this.#askToStop();
  }

  /** A prompt that the process has not begun with is taken back, so that what it works on meanwhile goes on. */
  async #takeBack(current: CurrentTurn): Promise<void> {
    current.stopping = { cancel: () => {} };
    const taken = await this.#activation?.withdraw(current.uuid);
    if (this.#current !== current) return;
    if (taken !== true) {
      // Either it begins just now, and is stopped then, or the process does not know how to take prompts back.
      if (!current.begun && !this.#unprompted.busy) this.#stopBegun(current);
      return;
    }
    this.#takeCurrent();
    const { record } = current;
    // It waits again, and is cancelled as one that never ran.
    record.requeued();
    record.fail("cancelled", cancelled(this.#who, record));
    this.#turnOver();
    this.#next();
  }

  /** If the request fails, the process is dying or hangs; then its exit, or the timer, ends the turn. */
  #askToStop(): void {
    void this.#activation?.interrupt().catch(() => {});
  }

  #takeCurrent(): CurrentTurn | undefined {
    const current = this.#current;
    current?.stopping?.cancel();
    this.#current = undefined;
    if (current !== undefined) this.#place.release();
    this.#unprompted.promptEnded();
    if (!this.busy) this.#settleQuiet();
    return current;
  }
}

/** What is said of a key that was refused, besides that. */
const OF_REFUSED_KEY: { readonly [Key in RefusedKey]: string } = {
  changed: "; the key has changed since, and the next turn has the new one",
  again: "; this key is in the place of one that was refused before",
  same: "",
};

/** Others' sentences stand in the middle of ours. */
function withoutStop(sentence: string): string {
  return sentence.replace(/\.$/, "");
}

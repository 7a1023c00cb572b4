import { type PermitHolder, type TurnLine, TurnPermit } from "../../capacity/turn-limiter.ts";
import type { Activation } from "../../claude/activation.ts";
import type { ProcessOutlook } from "../context/process-outlook.ts";
import type { SessionContext } from "../context/session-context.ts";
import type { Signal } from "../context/session-signal.ts";
import type { CapacityShortage } from "../context/turn-errors.ts";
import type { CurrentTurn } from "../streams/current-turn.ts";
import type { Hold } from "./hold.ts";
import type { Mailbox } from "./mailbox.ts";
import type { PromptStage } from "./unprompted.ts";
import { UnpromptedTurns } from "./unprompted-turns.ts";

/**
 * Whether the process takes turns: there is none (`away`), it does (`open`), it is ending (`retired`), or a new process
 * has to resume the conversation once this one is idle (`stale`).
 */
type Taking = "away" | "open" | "retired" | "stale";

/** What a process works on: a caller's turn, and Claude Code's own work. */
export class TurnsAtWork implements PermitHolder {
  readonly #context: SessionContext;
  /** Once the process has sent a message. */
  #unprompted: UnpromptedTurns | undefined;
  readonly #process: ProcessOutlook;
  readonly #hold: Hold;
  readonly #mailbox: Mailbox;
  readonly #signal: Signal;
  readonly #limiter: TurnLine;
  /** The permit to run a turn, among the turns of all sessions, once it is asked for. */
  #permit: TurnPermit | undefined;
  #activation: Activation | undefined;
  #taking: Taking = "away";
  /** Whether another application takes over, so that nothing more begins here. */
  #yielding = false;
  #current: CurrentTurn | undefined;
  /** Resolves once no turn runs. */
  #quiet: PromiseWithResolvers<void> | undefined;
  /** Whether the process reports when it takes up a prompt. */
  #announces = false;

  constructor(
    context: SessionContext,
    process: ProcessOutlook,
    limiter: TurnLine,
    hold: Hold,
    mailbox: Mailbox,
    signal: Signal,
  ) {
    this.#process = process;
    this.#hold = hold;
    this.#signal = signal;
    this.#mailbox = mailbox;
    this.#limiter = limiter;
    this.#context = context;
  }

  /** Claude Code's own work. */
  get unprompted(): UnpromptedTurns {
    this.#unprompted ??= new UnpromptedTurns(this.#context, this.#signal);
    return this.#unprompted;
  }

  /** The API key of the next turn. */
  get key(): string {
    return this.#process.account;
  }

  /** Whether only turns of an earlier run of the application wait. */
  get resumes(): boolean {
    return this.#mailbox.isRestored;
  }

  /** Takes the news that a turn that had to wait may run. */
  admitted(): void {
    this.#signal({ type: "next" });
  }

  /** The process that takes turns, or still has one. */
  get activation(): Activation | undefined {
    return this.#activation;
  }

  /** The caller's turn that the process has, even if it has ended for its caller. */
  get current(): CurrentTurn | undefined {
    return this.#current;
  }

  /** The running turn, if any. */
  get running(): CurrentTurn | undefined {
    return this.#unprompted?.current ?? this.#current;
  }

  /**
   * Whether the process works on a turn: a caller's, even if it has ended for its caller, or one of Claude Code's own.
   */
  get busy(): boolean {
    return this.#current !== undefined || this.#unprompted?.busy === true;
  }

  /** Whether the process would take a turn at once. */
  get free(): boolean {
    const takes = this.#taking === "open" && !this.#yielding && this.#activation?.ending === false;
    return takes && !this.busy && this.#hold.current === undefined;
  }

  /** Whether the process reports when it takes up a prompt. */
  get announces(): boolean {
    return this.#announces;
  }

  /** How far the process is with the caller's prompt. */
  get stage(): PromptStage {
    if (this.#current === undefined || this.#current.end !== undefined) return "none";
    // A process that does not report it counts as having begun at once.
    return this.#current.begun || !this.#announces ? "begun" : "waits";
  }

  /** Whether the next turn waits for a permit that other sessions' turns hold. */
  get inLine(): boolean {
    return this.#permit?.limit !== undefined;
  }

  /** The capacity that turns wait for, if they do. */
  get shortage(): CapacityShortage | undefined {
    if (this.#process.shortage !== undefined) return this.#process.shortage;
    const limit = this.#permit?.limit;
    return limit === undefined ? undefined : { maxConcurrentTurns: limit, busy: this.#limiter.running };
  }

  /** Starts to send turns to a process that is up. */
  attach(activation: Activation): void {
    this.#activation = activation;
    this.#taking = "open";
    this.#announces = false;
  }

  /**
   * Sends no more turns to the process, which is to end. Its current turn may finish; waiting turns are for the next
   * process.
   */
  retire(): void {
    if (this.#taking === "open") this.#taking = "retired";
  }

  /** Has a new process resume the conversation once this one is idle. */
  retireStale(): void {
    this.#taking = "stale";
  }

  /** Ignores the process from now on. */
  abandon(): void {
    this.#activation = undefined;
  }

  /** Forgets Claude Code's own work, because the process is gone. Returns the turn that it was in. */
  takeUnprompted(): CurrentTurn | undefined {
    const unprompted = this.#unprompted;
    this.#unprompted = undefined;
    return unprompted?.gone();
  }

  /** Records that the process is gone. */
  detach(): void {
    this.#activation = undefined;
    this.#taking = "away";
  }

  /** Whether no more turns begin. */
  get isYielding(): boolean {
    return this.#yielding;
  }

  /** Begins no more turns. */
  yield(): void {
    this.#yielding = true;
  }

  /** Begins turns again. */
  unyield(): void {
    this.#yielding = false;
  }

  /** Records that the process reports when it takes up a prompt. */
  announced(): void {
    this.#announces = true;
  }

  /** Takes a permit for a turn. Without one the session queues. Returns whether it got one. */
  takePermit(): boolean {
    this.#permit ??= new TurnPermit(this.#limiter, this);
    return this.#permit.take();
  }

  /** Stops queueing, because no turn is to begin. */
  leavePermitQueue(): void {
    const permit = this.#permit;
    this.#permit = undefined;
    permit?.release();
  }

  /** Records that the process has this turn. */
  begin(turn: CurrentTurn): void {
    this.#current = turn;
  }

  /** Returns the caller's turn and removes it, because the process is done with it or gone. */
  takeCurrent(): CurrentTurn | undefined {
    const current = this.#current;
    current?.stopping?.cancel();
    this.#current = undefined;
    if (current !== undefined) this.leavePermitQueue();
    this.#unprompted?.promptEnded();
    if (!this.busy) this.#settleQuiet();
    return current;
  }

  /** Finishes a caller's turn with `end`. `stale` tells that a new process has to resume the conversation. */
  over(end: () => void, { stale = false }: { readonly stale?: boolean } = {}): void {
    this.takeCurrent();
    if (stale) this.retireStale();
    end();
    this.turnOver();
  }

  /** Finishes a turn, a caller's or Claude Code's own. */
  turnOver(): void {
    if (!this.busy) {
      this.#settleQuiet();
      this.#signal({ type: "turn_ended" });
      if (this.#taking === "stale") {
        this.#taking = "retired";
        this.#signal({ type: "stale" });
      }
    }
    this.#signal({ type: "next" });
  }

  /** Resolves once the process works on no turn. */
  async quiet(): Promise<void> {
    if (!this.busy) return;
    this.#quiet ??= Promise.withResolvers();
    await this.#quiet.promise;
  }

  #settleQuiet(): void {
    this.#quiet?.resolve();
    this.#quiet = undefined;
  }
}

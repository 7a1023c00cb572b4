import { type TurnLimiter, TurnPermit } from "../../capacity/turn-limiter.ts";
import type { Activation } from "../../claude/activation.ts";
import type { ProcessOutlook } from "../context/process-outlook.ts";
import type { SessionContext } from "../context/session-context.ts";
import type { Signal } from "../context/session-signal.ts";
import type { CapacityShortage } from "../context/turn-errors.ts";
import type { CurrentTurn } from "../streams/current-turn.ts";
import type { Hold } from "./hold.ts";
import type { PromptStage } from "./unprompted.ts";
import { UnpromptedTurns } from "./unprompted-turns.ts";

/**
 * Whether a process takes turns: there is none (`away`), it takes them, it is being ended (`retired`), or another one is to take
 * the conversation up as soon as it has nothing to do (`stale`).
 */
type Taking = "away" | "open" | "retired" | "stale";

/** What a process works on: the turn of a caller that it has, and what Claude Code does by itself. */
export class TurnsAtWork {
  /** What Claude Code does by itself. */
  readonly unprompted: UnpromptedTurns;
  readonly #process: ProcessOutlook;
  readonly #hold: Hold;
  readonly #signal: Signal;
  /** Whether its next turn may run, among the turns of all sessions. */
  readonly #permit: TurnPermit;
  #activation: Activation | undefined;
  #taking: Taking = "away";
  /** Whether what waits is for another one to do; then nothing more begins here. */
  #yielding = false;
  #current: CurrentTurn | undefined;
  /** Resolves when no turn runs. */
  #quiet: PromiseWithResolvers<void> | undefined;
  /** Whether the process says when it takes up a prompt; then its word is waited for. */
  #announces = false;

  constructor(context: SessionContext, process: ProcessOutlook, limiter: TurnLimiter, hold: Hold, signal: Signal) {
    this.#process = process;
    this.#hold = hold;
    this.#signal = signal;
    this.#permit = new TurnPermit(
      limiter,
      () => process.account,
      () => signal({ type: "next" }),
    );
    this.unprompted = new UnpromptedTurns(context, signal);
  }

  /** The process that takes turns, or has one. */
  get activation(): Activation | undefined {
    return this.#activation;
  }

  /** The turn of a caller that the process has, if it has one, be it over for its caller. */
  get current(): CurrentTurn | undefined {
    return this.#current;
  }

  /** The turn that runs, if one does. */
  get running(): CurrentTurn | undefined {
    return this.unprompted.current ?? this.#current;
  }

  /** Whether the process works on a turn, be it one that is over for its caller, or one that Claude Code begins by itself. */
  get busy(): boolean {
    return this.#current !== undefined || this.unprompted.busy;
  }

  /** Whether the process would take a turn at once. */
  get free(): boolean {
    const takes = this.#taking === "open" && !this.#yielding && this.#activation?.ending === false;
    return takes && !this.busy && this.#hold.current === undefined;
  }

  /** Whether the process says when it takes up a prompt. */
  get announces(): boolean {
    return this.#announces;
  }

  /** How far the prompt has come that the process has, if it has one. */
  get stage(): PromptStage {
    if (this.#current === undefined || this.#current.end !== undefined) return "none";
    // A process that does not say when it takes up a prompt has taken it up.
    return this.#current.begun || !this.#announces ? "begun" : "waits";
  }

  /** Whether a turn waits until another session's is over. */
  get inLine(): boolean {
    return this.#permit.limit !== undefined;
  }

  /** What keeps turns from running, if that is room. */
  get shortage(): CapacityShortage | undefined {
    if (this.#process.shortage !== undefined) return this.#process.shortage;
    const { limit, others } = this.#permit;
    return limit === undefined ? undefined : { maxConcurrentTurns: limit, busy: others };
  }

  /** A process is up; turns go to it from now on. */
  attach(activation: Activation): void {
    this.#activation = activation;
    this.#taking = "open";
    this.#announces = false;
  }

  /** The process is to end. The turn that it works on may still finish; those that wait are for the next one. */
  retire(): void {
    if (this.#taking === "open") this.#taking = "retired";
  }

  /** Another process has to take up the conversation as soon as this one has nothing to do. */
  retireStale(): void {
    this.#taking = "stale";
  }

  /** The process is of no use, and says nothing that counts any more. */
  abandon(): void {
    this.#activation = undefined;
  }

  /** The process is gone. */
  detach(): void {
    this.#activation = undefined;
    this.#taking = "away";
  }

  /** Nothing more begins here. */
  yield(): void {
    this.#yielding = true;
  }

  /** The process says when it takes up a prompt. */
  announced(): void {
    this.#announces = true;
  }

  /** Whether a turn may begin now. If not, the session waits in line. */
  takePlace(): boolean {
    return this.#permit.take();
  }

  /** No turn is to begin. */
  leavePlace(): void {
    this.#permit.release();
  }

  /** The process gets this turn. */
  begin(turn: CurrentTurn): void {
    this.#current = turn;
  }

  /** Takes the caller's turn from the process, which is done with it or gone. */
  takeCurrent(): CurrentTurn | undefined {
    const current = this.#current;
    current?.stopping?.cancel();
    this.#current = undefined;
    if (current !== undefined) this.#permit.release();
    this.unprompted.promptEnded();
    if (!this.busy) this.#settleQuiet();
    return current;
  }

  /** The process is done with the turn of a caller, which `end` ends. `stale` says that another one has to take up the conversation. */
  over(end: () => void, { stale = false }: { readonly stale?: boolean } = {}): void {
    this.takeCurrent();
    if (stale) this.retireStale();
    end();
    this.turnOver();
  }

  /** The process is done with a turn, of whoever. */
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

  /** Resolves when the process works on no turn. */
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

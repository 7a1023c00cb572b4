import type { TurnFailure } from "../../claude/messages/failure.ts";
import { CastellanError } from "../../errors.ts";
import type { ProcessOutlook } from "../context/process-outlook.ts";
import type { SessionContext } from "../context/session-context.ts";
import type { RefusedKey } from "../context/session-key.ts";
import type { Signal } from "../context/session-signal.ts";
import { interrupted, withoutStop } from "../context/turn-errors.ts";
import { isRunAgain } from "../conversation/settlement.ts";
import type { CurrentTurn } from "../streams/current-turn.ts";
import type { Hold } from "./hold.ts";
import type { TurnsAtWork } from "./turns-at-work.ts";

/** Failures that a later attempt may not have. */
const TEMPORARY: ReadonlySet<string> = new Set(["overload", "quota", "billing"] satisfies TurnFailure["class"][]);

/** How often the API may refuse a turn that waits as long as it takes. */
const MOST_REFUSALS = 20;

/** What the error adds about a refused key. */
const OF_REFUSED_KEY: { readonly [Key in RefusedKey]: string } = {
  changed: "; the key has changed since, and the next turn has the new one",
  again: "; this key replaced one that was refused before",
  same: "",
};

/**
 * Ends failed turns, and decides what their failure means for the next turns: whether they are held back, and which
 * process runs them.
 */
export class TurnFailures {
  readonly #context: SessionContext;
  readonly #process: ProcessOutlook;
  readonly #hold: Hold;
  readonly #work: TurnsAtWork;
  readonly #signal: Signal;

  constructor(context: SessionContext, process: ProcessOutlook, hold: Hold, work: TurnsAtWork, signal: Signal) {
    this.#context = context;
    this.#process = process;
    this.#hold = hold;
    this.#work = work;
    this.#signal = signal;
  }

  /** Ends a turn that failed, and holds the next turns back if they would fail for the same reason. */
  fail({ record }: CurrentTurn, failure: TurnFailure): void {
    const { who } = this.#context;
    const { message: words, until, ...facts } = failure;
    const holds = failure.class === "overload" || failure.class === "quota" || failure.class === "billing";
    if (failure.class === "overload") this.#holdFor(() => this.#hold.forOverload());
    if (failure.class === "billing") this.holdForBilling();
    if (until !== undefined) this.holdForQuota(until);
    const why = withoutStop(words) + (failure.class === "auth" ? OF_REFUSED_KEY[this.#process.key.refusal] : "");
    const { current: hold } = this.#hold;
    const details = {
      ...record.partial,
      ...facts,
      ...(hold === undefined || !holds ? {} : { class: hold.for, retryAt: hold.until }),
    };
    const continuation =
      record.conversation === "cut_back" ? "; the conversation continues from the last successful turn" : "";
    const message = `${who}: the turn failed: ${why}${continuation}.`;
    record.fail("failed", new CastellanError("TURN_FAILED", message, { details }));
    if (failure.class === "auth") this.#abandon(why);
  }

  /** Ends a turn without success: `was` tells whether it was stopped, or why it failed. */
  end(current: CurrentTurn, was: { readonly interrupted: boolean; readonly failure: TurnFailure | undefined }): void {
    const { record } = current;
    if (was.interrupted) record.fail("interrupted", interrupted(this.#context.who, record));
    else this.fail(current, was.failure ?? { message: "no reason was given", class: "unknown" });
  }

  /** Ends the current turn, or the process, because the API refuses the key and Claude Code would keep retrying. */
  giveUp(current: CurrentTurn | undefined, failure: TurnFailure & { readonly class: "auth" }): void {
    if (current === undefined) this.#abandon(failure.message);
    else if (!this.runsAgain(current, failure)) this.fail(current, failure);
  }

  /**
   * Whether another process runs the turn again, with a different key or later, because its key was refused or its account
   * cannot pay. If so, this process gets no more turns. A turn that Claude began to answer does not run again.
   */
  runsAgain(current: CurrentTurn, failure: TurnFailure | undefined): boolean {
    if (failure?.class !== "auth" && failure?.class !== "billing") return false;
    const { record, stopping } = current;
    if (current.rerun) return true;
    // A turn that Claude Code began by itself does not run again.
    if (record.origin !== "caller") return false;
    if (record.ended || stopping !== undefined) return false;
    // A patient turn outlasts the quarantine that a refused key means.
    if (this.#process.key.refusal !== "changed" && !(record.patient && failure.class === "auth")) return false;
    const { progress, attempts } = record;
    current.rerun = isRunAgain({ touched: progress.touched, attempts }, "retry_if_untouched");
    if (current.rerun) this.#abandon(withoutStop(failure.message));
    return current.rerun;
  }

  /** Whether the turn only confirmed that the account still cannot pay, as was known while it waited. */
  isStillUnpaid({ record, stopping, displaced }: CurrentTurn, failure: TurnFailure | undefined): boolean {
    if (failure?.class !== "billing") return false;
    const stands = !record.ended && stopping === undefined && displaced === undefined;
    return stands && !record.progress.touched && this.#hold.hasHeld(record.since);
  }

  /** Whether a turn waits until the API accepts it again, because it has done nothing and has no limit on its wait. */
  isPostponed({ record, stopping, displaced }: CurrentTurn, failure: TurnFailure | undefined): boolean {
    if (failure === undefined || !TEMPORARY.has(failure.class)) return false;
    const stands = !record.ended && stopping === undefined && displaced === undefined;
    return stands && record.patient && !record.progress.touched && record.refusals < MOST_REFUSALS;
  }

  /** Starts a hold because the API refuses turns for this reason. */
  hold({ class: why, until }: TurnFailure): void {
    if (why === "billing") this.holdForBilling();
    else if (until !== undefined) this.holdForQuota(until);
    else this.#holdFor(() => this.#hold.forOverload());
  }

  /** Starts a hold because the account cannot pay. */
  holdForBilling(): void {
    this.#holdFor(() => this.#hold.forBilling());
  }

  /** Starts a hold because a usage limit is reached. */
  holdForQuota(until: number): void {
    this.#holdFor(() => this.#hold.forQuota(until));
  }

  /** Abandons the process, which gets no more turns. */
  #abandon(message: string): void {
    this.#work.abandon();
    this.#signal({ type: "fault", fault: { class: "auth", message } });
  }

  #holdFor(begin: () => void): void {
    begin();
    this.#signal({ type: "held" });
  }
}

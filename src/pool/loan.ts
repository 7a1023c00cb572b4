import type { Clock, Timer } from "../clock.ts";
import { formatDuration } from "../duration.ts";
import { CastellanError } from "../errors.ts";
import { formatName, type SessionName } from "../names.ts";
import type { Session, SessionOwner, SessionSource } from "../session/session.ts";
import type { SessionServer } from "../session/session-server.ts";
import { LoanedSession } from "./loaned-session.ts";
import type { Member } from "./member.ts";

/** What a loan asks of its pool. */
export interface LoanTerms {
  readonly pool: string;
  readonly clock: Clock;
  /** `undefined` if it lasts until it is checked in. */
  readonly leaseMs: number | undefined;
  /** The member is the pool's again; resolves when its turns have ended. */
  giveBack(member: Member, why: "checked_in" | "lease_over"): Promise<void>;
  /** Nobody holds the loan any more, and nobody has checked it in. */
  readonly dropped: (member: Member) => void;
}

/** Tells the pool of loans that were dropped. What it holds must not lead to the loan, so that `dropped` must be no closure of its making. */
const drops = new FinalizationRegistry<Pick<LoanTerms, "dropped"> & { readonly member: Member }>((drop) =>
  drop.dropped(drop.member),
);

/**
 * A member of a pool that is lent to one borrower. Check it in when it is no longer needed, or leave that to the scope that holds
 * it. One that is dropped, and has no `lease`, goes back some time after its turns have ended, when the garbage collector finds it, with
 * the warning `LOAN_DROPPED`.
 *
 * @example
 * await using loan = await checkout("summaries");
 * await loan.session.query("Read this first: …");
 */
export class Loan implements AsyncDisposable {
  /** The name of the pool. */
  readonly pool: string;
  /**
   * The session. It works only while the loan lasts; afterwards everything that is asked of it throws `LOAN_ENDED`. Its `stop()`
   * checks it in. Turns cannot have an `idempotencyKey`.
   */
  readonly session: Session;
  /** When its lease is over, in milliseconds since the epoch, if it has one. */
  readonly endsAt: number | undefined;
  readonly #member: Member;
  readonly #terms: LoanTerms;
  readonly #lease: Timer | undefined;
  readonly #over: PromiseWithResolvers<void> = Promise.withResolvers();
  #reason: "checked_in" | "lease_over" | undefined;
  #back: Promise<void> | undefined;

  /** Made by a pool. */
  constructor(member: Member, terms: LoanTerms) {
    const { clock, leaseMs } = terms;
    this.pool = terms.pool;
    this.#member = member;
    this.#terms = terms;
    this.session = new LoanedSession(this.#source(), clock.now(), this.#over.promise);
    this.endsAt = leaseMs === undefined ? undefined : clock.now() + leaseMs;
    // The session of the loan, and what is made by it, holds the loan. A lease does so until it is over.
    drops.register(this, { dropped: terms.dropped, member }, this);
    if (leaseMs === undefined) return;
    this.#lease = clock.schedule(leaseMs, () => void this.#end("lease_over"), { background: true });
  }

  /** Whether it has been checked in, or its lease is over. */
  get ended(): boolean {
    return this.#reason !== undefined;
  }

  /**
   * Gives the member back, and resolves when that is done: its turn, if one runs, has been stopped, and those that waited are
   * cancelled. Does nothing the second time. Never rejects.
   */
  async checkin(): Promise<void> {
    await this.#end("checked_in");
  }

  /** As {@link Loan.checkin}, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.checkin();
  }

  #end(reason: "checked_in" | "lease_over"): Promise<void> {
    if (this.#back === undefined) {
      this.#reason = reason;
      this.#lease?.cancel();
      drops.unregister(this);
      this.#over.resolve();
      this.#back = this.#terms.giveBack(this.#member, reason);
    }
    return this.#back;
  }

  #source(): SessionSource {
    const member = (): Member => {
      if (this.#reason !== undefined) throw this.#refusal(this.#reason, this.#member.name);
      return this.#member;
    };
    const owner: SessionOwner = {
      restart: (options) => member().owner.restart(options),
      terminate: () => this.checkin(),
      fork: (name, options) => member().owner.fork(name, options),
      closed: () => member().owner.closed(),
      again: () => undefined,
    };
    return {
      get server(): SessionServer {
        return member().server;
      },
      get owner(): SessionOwner {
        member();
        return owner;
      },
      closed: this.#over.promise,
    };
  }

  #refusal(reason: "checked_in" | "lease_over", name: SessionName): CastellanError<"LOAN_ENDED"> {
    const { pool, leaseMs } = this.#terms;
    const why =
      reason === "checked_in" ? "has been checked in" : `is over, after its lease of ${formatDuration(leaseMs ?? 0)}`;
    const message = `The loan of session ${formatName(name)} of pool ${JSON.stringify(pool)} ${why}; check another one out.`;
    return new CastellanError("LOAN_ENDED", message, { details: { pool, reason } });
  }
}

import type { Clock, Timer } from "../clock.ts";
import { formatDuration } from "../duration.ts";
import { CastellanError } from "../errors.ts";
import { formatName, type SessionName } from "../names.ts";
import type { PastApproval } from "../session/controls.ts";
import type { Prompt } from "../session/options/prompt.ts";
import type { TurnOptions } from "../session/options/turn-options.ts";
import { invalidOptions } from "../session/options/validation.ts";
import { Session, type SessionOwner, type SessionSource } from "../session/session.ts";
import type { SessionServer } from "../session/session-server.ts";
import type { SessionEvent } from "../session/status/session-event.ts";
import type { Turn } from "../session/streams/turn.ts";
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

/** The session of a loan: a handle that works only while the loan lasts, and shows only what is the borrower's. */
export class LoanedSession extends Session {
  readonly #over: Promise<unknown>;
  /** When the loan began, in milliseconds since the epoch. */
  readonly #since: number;
  /** The turns of the loan. */
  readonly #turns = new Set<string>();

  /** `over` resolves when the loan ends; from then on the handle finds nothing. */
  constructor(source: SessionSource, since: number, over: Promise<unknown>) {
    super(source);
    this.#since = since;
    this.#over = over;
  }

  override stream<Structured = unknown>(prompt: Prompt, options: TurnOptions<Structured> = {}): Turn<Structured> {
    refuseKey(options);
    const turn = super.stream(prompt, options);
    this.#turns.add(turn.id);
    return turn;
  }

  override async enqueue(prompt: Prompt, options: TurnOptions = {}): Promise<string> {
    refuseKey(options);
    const id = await super.enqueue(prompt, options);
    this.#turns.add(id);
    return id;
  }

  /** A turn of this loan. @throws CastellanError `LOAN_ENDED`, `JOURNAL_UNAVAILABLE` */
  override async turn(id: string): Promise<Turn | undefined> {
    const turn = await super.turn(id);
    return this.#turns.has(id) ? turn : undefined;
  }

  /** The permissions that Claude asked for in this loan. */
  override async approvalHistory(options: { readonly limit?: number } = {}): Promise<PastApproval[]> {
    const approvals = await super.approvalHistory(options);
    return approvals.filter(({ requestedAt }) => requestedAt >= this.#since);
  }

  /** What happens to the session in this loan, from now on. Ends with the loan. */
  override events(): AsyncGenerator<SessionEvent, void, undefined> {
    return this.#whileLent(super.events());
  }

  async *#whileLent(
    events: AsyncGenerator<SessionEvent, void, undefined>,
  ): AsyncGenerator<SessionEvent, void, undefined> {
    const over = this.#over.then(() => undefined);
    try {
      for (;;) {
        const next = await Promise.race([over, events.next()]);
        if (next === undefined || next.done === true) return;
        yield next.value;
      }
    } finally {
      // It may wait for one that only the next borrower brings about.
      void events.return();
    }
  }
}

/** A key is one session's, so that another borrower of it would be given this one's reply. */
function refuseKey({ idempotencyKey }: TurnOptions): void {
  if (idempotencyKey === undefined) return;
  const message = "cannot be used with a member of a pool, whose keys are those of all who borrow it";
  throw invalidOptions("turn of a loan", [{ field: "idempotencyKey", message }]);
}

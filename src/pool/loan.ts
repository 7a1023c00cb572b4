import type { Clock, Timer } from "../clock.ts";
import { formatDuration } from "../duration.ts";
import { CastellanError } from "../errors.ts";
import { formatName, type SessionName } from "../names.ts";
import type { PastApproval } from "../session/controls.ts";
import type { Prompt } from "../session/options/prompt.ts";
import type { TurnOptions } from "../session/options/turn-options.ts";
import { invalidOptions } from "../session/options/validation.ts";
import type { EventOptions, EventPageOptions } from "../session/record/event-readers.ts";
import type { RecordedEvent, SessionEvent } from "../session/record/session-event-types.ts";
import { Session, type SessionOwner, type SessionSource } from "../session/session.ts";
import type { SessionServer } from "../session/session-server.ts";
import type { Turn } from "../session/streams/turn.ts";
import { type EnqueueOptions, isScheduled, type Schedule } from "../session/turns/schedule.ts";
import type { Member } from "./member.ts";

/** What a loan needs of its pool. */
export interface LoanTerms {
  readonly pool: string;
  readonly clock: Clock;
  /** In milliseconds; undefined if the loan lasts until it is checked in. */
  readonly leaseMs: number | undefined;
  /** Returns the member to the pool. Resolves once its turns have ended. */
  giveBack(member: Member, why: "checked_in" | "lease_over"): Promise<void>;
  /** Called when a loan was garbage-collected without having been checked in. */
  readonly dropped: (member: Member) => void;
}

/**
 * Reports garbage-collected loans to their pools. `dropped` must not reference the loan: a closure created by the loan would keep
 * it alive.
 */
const drops = new FinalizationRegistry<Pick<LoanTerms, "dropped"> & { readonly member: Member }>((drop) =>
  drop.dropped(drop.member),
);

/**
 * A member of a pool, lent to one borrower. Check it in when you are done, or bind it with `await using`. A loan that is neither
 * checked in nor has a `lease` returns to the pool after the garbage collector finds it and its turns have ended, with the
 * warning `LOAN_DROPPED`.
 *
 * @example
 * await using loan = await checkout("summaries");
 * await loan.session.query("Read this first: …");
 */
export class Loan implements AsyncDisposable {
  /** The name of the pool. */
  readonly pool: string;
  /**
   * The lent session. Once the loan has ended, all its methods throw `LOAN_ENDED`. Its `stop()` checks the loan in. Its turns do
   * not accept an `idempotencyKey`.
   */
  readonly session: Session;
  /** When the lease ends, in milliseconds since the epoch; undefined without a lease. */
  readonly endsAt: number | undefined;
  readonly #member: Member;
  readonly #terms: LoanTerms;
  readonly #lease: Timer | undefined;
  readonly #ended: PromiseWithResolvers<void> = Promise.withResolvers();
  #reason: "checked_in" | "lease_over" | undefined;
  #returned: Promise<void> | undefined;

  /** Called by a pool. */
  constructor(member: Member, terms: LoanTerms) {
    const { clock, leaseMs } = terms;
    this.pool = terms.pool;
    this.#member = member;
    this.#terms = terms;
    this.session = new LoanedSession(this.#source(), clock.now(), this.#ended.promise);
    this.endsAt = leaseMs === undefined ? undefined : clock.now() + leaseMs;
    // The loan's session and its turns reference the loan, so the loan lives as long as they do. A lease references it until it
    // ends.
    drops.register(this, { dropped: terms.dropped, member }, this);
    if (leaseMs === undefined) return;
    this.#lease = clock.schedule(leaseMs, () => void this.#end("lease_over"), { background: true });
  }

  /** Whether the loan has been checked in or its lease has ended. */
  get ended(): boolean {
    return this.#reason !== undefined;
  }

  /**
   * Returns the member to the pool. Interrupts its running turn and cancels its queued turns; resolves once they have ended.
   * Idempotent; never rejects.
   */
  async checkin(): Promise<void> {
    await this.#end("checked_in");
  }

  /** Same as {@link Loan.checkin}, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.checkin();
  }

  #end(reason: "checked_in" | "lease_over"): Promise<void> {
    if (this.#returned === undefined) {
      this.#reason = reason;
      this.#lease?.cancel();
      drops.unregister(this);
      this.#ended.resolve();
      this.#returned = this.#terms.giveBack(this.#member, reason);
    }
    return this.#returned;
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
      find: () => undefined,
    };
    return {
      get server(): SessionServer {
        return member().server;
      },
      get owner(): SessionOwner {
        member();
        return owner;
      },
      closed: this.#ended.promise,
      isLent: true,
    };
  }

  #refusal(reason: "checked_in" | "lease_over", name: SessionName): CastellanError<"LOAN_ENDED"> {
    const { pool, leaseMs } = this.#terms;
    const why =
      reason === "checked_in" ? "has been checked in" : `has ended after its lease of ${formatDuration(leaseMs ?? 0)}`;
    const message = `The loan of session ${formatName(name)} of pool ${JSON.stringify(pool)} ${why}. Check out another member.`;
    return new CastellanError("LOAN_ENDED", message, { details: { pool, reason } });
  }
}

/** The session handle of a loan: works only during the loan, and shows only the borrower's turns and events. */
export class LoanedSession extends Session {
  readonly #ended: Promise<unknown>;
  /** The start of the loan, in milliseconds since the epoch. */
  readonly #since: number;
  /** The number of the last event before the loan. */
  readonly #lastEvent: number;
  /** The ids of the loan's turns. */
  readonly #turns = new Set<string>();

  /** @param ended resolves when the loan ends; from then on the handle finds nothing */
  constructor(source: SessionSource, since: number, ended: Promise<unknown>) {
    super(source);
    this.#since = since;
    // The pool has opened the record of a member.
    this.#lastEvent = source.server.reading.last ?? 0;
    this.#ended = ended;
  }

  override stream<Structured = unknown>(prompt: Prompt, options: TurnOptions<Structured> = {}): Turn<Structured> {
    refuseKey(options);
    const turn = super.stream(prompt, options);
    this.#turns.add(turn.id);
    return turn;
  }

  override async enqueue(prompt: Prompt, options: EnqueueOptions = {}): Promise<string> {
    refuseKey(options);
    if (isScheduled(options)) throw noSchedules();
    const id = await super.enqueue(prompt, options);
    this.#turns.add(id);
    return id;
  }

  /** A loan has no schedules. @throws CastellanError `LOAN_ENDED` */
  override async schedules(): Promise<Schedule[]> {
    await super.schedules();
    return [];
  }

  /** A loan has no schedules. @throws CastellanError `LOAN_ENDED` */
  override async cancelSchedule(): Promise<boolean> {
    await super.schedules();
    return false;
  }

  /** Returns a turn of this loan, or undefined. @throws CastellanError `LOAN_ENDED`, `JOURNAL_UNAVAILABLE` */
  override async turn(id: string): Promise<Turn | undefined> {
    const turn = await super.turn(id);
    return this.#turns.has(id) ? turn : undefined;
  }

  /** Returns the permissions that Claude asked for during this loan. */
  override async approvalHistory(options: { readonly limit?: number } = {}): Promise<PastApproval[]> {
    const approvals = await super.approvalHistory(options);
    return approvals.filter(({ requestedAt }) => requestedAt >= this.#since);
  }

  /** As `Session.events`, without the events before this loan. Ends with the loan. */
  override events<Type extends SessionEvent["type"] = SessionEvent["type"]>(
    options: EventOptions<Type> = {},
  ): AsyncGenerator<SessionEvent & { readonly type: Type }, void, undefined> {
    const { live = true, after = live ? undefined : 0 } = options;
    const since = after === undefined ? {} : { after: Math.max(after, this.#lastEvent) };
    const events = super.events({ ...options, ...since });
    void this.#ended.then(() => events.return());
    return events;
  }

  /** As `Session.pastEvents`, without the events before this loan. */
  override async pastEvents(options: EventPageOptions = {}): Promise<RecordedEvent[]> {
    const page = await super.pastEvents(options);
    return page.filter(({ number }) => number > this.#lastEvent);
  }
}

/** Idempotency keys belong to the session: a later borrower with the same key would get this borrower's reply. */
/** A schedule would outlive the loan. */
function noSchedules(): CastellanError {
  const message = "cannot be used with a loan; use `delay` of a job, or the schedules of a session";
  return invalidOptions("turn of a loan", [
    { field: "runAt", message },
    { field: "every", message },
  ]);
}

function refuseKey({ idempotencyKey }: TurnOptions): void {
  if (idempotencyKey === undefined) return;
  const message = "cannot be used with a member of a pool: all its borrowers share its keys";
  throw invalidOptions("turn of a loan", [{ field: "idempotencyKey", message }]);
}

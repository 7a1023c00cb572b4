import { z } from "zod";
import type { Duration } from "../duration.ts";
import { CastellanError } from "../errors.ts";
import type { Approval } from "../session/conversation/approval.ts";
import type { JobOptions } from "../session/options/job-options.ts";
import type { Prompt } from "../session/options/prompt.ts";
import { durationSchema, validate } from "../session/options/validation.ts";
import type { Session } from "../session/session.ts";
import type { Reply } from "../session/streams/reply.ts";
import { Turn } from "../session/streams/turn.ts";
import type { TurnListOptions, TurnSummary } from "../session/turns/turn-summary.ts";
import { findTurn } from "./find-turn.ts";
import { Loan, type LoanTerms } from "./loan.ts";
import type { PoolServer } from "./pool-server.ts";
import type { PoolStatus } from "./pool-status.ts";
import { keySchema, type PoolTurnOptions, submitToPool } from "./pool-turn.ts";
import { turnsOf } from "./pool-turns.ts";

/** Options of a checkout. */
export interface CheckoutOptions {
  /** How long to wait for a member; 0 does not wait. Default: the `queueTimeout` of the members, `"10m"`. */
  timeout?: Duration;
  /** Aborting it cancels the wait. It does not end a loan. */
  signal?: AbortSignal;
  /** The key by which a `"consistent_hash"` balancer, or one of your own, picks a member: for example a user id. */
  key?: string;
}

const checkoutSchema = z.strictObject({
  timeout: durationSchema.optional(),
  signal: z.instanceof(AbortSignal).optional(),
  key: keySchema,
});

/** A set of interchangeable sessions that lends members and runs turns on them. */
export class Pool {
  readonly #server: PoolServer;

  /** Called by a supervisor. */
  constructor(server: PoolServer) {
    this.#server = server;
  }

  get name(): string {
    return this.#server.settings.name;
  }

  /** Returns the state of the pool, without I/O. */
  status(): PoolStatus {
    return this.#server.status;
  }

  /**
   * The pending permission requests of all members, if they have `approvals`: those of the pool's turns and of loans. The
   * `turnId` of each tells whose it is.
   */
  approvals(): readonly Approval[] {
    return this.#server.approvals;
  }

  /**
   * Lends a member as soon as one is free. The pool serves callers in the order of their calls.
   *
   * @throws CastellanError `POOL_EXHAUSTED` if no member was free in time or too many callers wait; `CHECKOUT_CANCELLED` if the
   * signal was aborted; `SUPERVISOR_STOPPED`, `INVALID_OPTIONS`
   */
  async checkout(options: CheckoutOptions = {}): Promise<Loan> {
    const server = this.#server;
    const { timeout, signal, key } = validate(checkoutSchema, options, `checkout of ${server.who}`);
    const { clock, newId } = server.host;
    const timeoutMs = timeout ?? server.common.queueTimeout;
    const { promise, resolve, reject } = Promise.withResolvers<Loan>();
    const cancelled = (reason: unknown): void => {
      const message = `${server.who}: the checkout was cancelled by its signal.`;
      reject(new CastellanError("CHECKOUT_CANCELLED", message, { details: { pool: this.name }, cause: reason }));
    };
    if (signal?.aborted) {
      cancelled(signal.reason);
      return await promise;
    }
    server.enqueue({
      id: newId(),
      wants: "loan",
      key,
      timeoutMs,
      signal,
      grant: (member) => {
        const { leaseMs } = server.settings;
        const giveBack: LoanTerms["giveBack"] = (lent, why) => server.giveBack(lent, why);
        resolve(new Loan(member, { pool: this.name, clock, leaseMs, giveBack, dropped: server.dropped }));
      },
      refuse: reject,
      cancelled,
    });
    return await promise;
  }

  /**
   * Lends a member to a function, and takes it back when the function returns or throws.
   *
   * @throws CastellanError as {@link Pool.checkout}; anything that `work` throws
   */
  async use<Result>(
    work: (session: Session) => Promise<Result> | Result,
    options: CheckoutOptions = {},
  ): Promise<Result> {
    await using loan = await this.checkout(options);
    return await work(loan.session);
  }

  /** Runs a turn on a member that the balancer picks, and waits for the reply. @throws CastellanError as {@link Pool.stream} */
  async query<Structured = unknown>(
    prompt: Prompt,
    options: PoolTurnOptions<Structured> = {},
  ): Promise<Reply<Structured>> {
    return await this.stream(prompt, options).result();
  }

  /**
   * Runs a turn on a member that the balancer picks once one is free, and returns the turn at once. The turn starts with an empty
   * conversation, unless the pool's conversations are `"shared"`. The turn's `session` is the name of the pool.
   *
   * @throws CastellanError `INVALID_OPTIONS`, also for an `idempotencyKey`, which only jobs have; `POOL_EXHAUSTED`
   * if too many callers wait (the turn rejects with it if no member was free in time); `TURN_CANCELLED` if the signal is already
   * aborted; `SUPERVISOR_STOPPED`
   */
  stream<Structured = unknown>(prompt: Prompt, options: PoolTurnOptions<Structured> = {}): Turn<Structured> {
    const turn = submitToPool(this.#server, prompt, options);
    return new Turn<Structured>(turn, this.name, {
      interrupt: () => turn.interrupt(),
      steer: (text, options) => turn.steer(text, options),
      events: (options) => turn.events(options),
      asks: this.#server.common.approvals !== false,
      content: (reference) => turn.content(reference),
    });
  }

  /**
   * Gives the pool a job: a turn that a member runs once one is free and no caller waits for it. Resolves with the turn's id once
   * the job is in the journal, where it survives the application. {@link Pool.turn} finds the turn again. With an
   * `idempotencyKey` the call can safely be repeated.
   *
   * A job begins with an empty conversation, unless the pool's conversations are `"shared"`. It waits for a member as long as
   * necessary, and also while the API is overloaded, a usage limit is reached, or the account cannot pay. If its process or the
   * application dies, `onInterruptedTurn` decides whether it runs again. A job of a global pool runs on any node that declares
   * the pool, see `GlobalPool.enqueue`.
   *
   * @throws CastellanError `INVALID_OPTIONS`, also if another job has the key; `MAILBOX_FULL` if `jobLimit` jobs wait;
   * `JOURNAL_UNAVAILABLE`; `SESSION_STOPPED`, `SUPERVISOR_STOPPED`
   * @example
   * const id = await supervisor.pool("summaries").enqueue(`Summarise this:\n${text}`, { idempotencyKey: document.id });
   * const { text } = await (await supervisor.pool("summaries").turn(id))!.result();
   */
  async enqueue(prompt: Prompt, options: JobOptions = {}): Promise<string> {
    return await (this.#server.shared ?? this.#server.jobs).enqueue(prompt, options);
  }

  /**
   * Returns a page of the pool's turns, the newest first: first the jobs that no member has taken, then the turns that members
   * run or have run, as long as the journal keeps them. For the next page, pass the last id as `before`. A page of large turns
   * has fewer than `limit`; only an empty page has nothing before it. Of a global pool, the jobs of all nodes.
   *
   * @throws CastellanError `INVALID_OPTIONS`, also if `before` is no turn that is kept; `JOURNAL_UNAVAILABLE`,
   * `SUPERVISOR_STOPPED`
   * @example
   * const failed = await supervisor.pool("summaries").turns({ state: ["failed", "interrupted"] });
   */
  async turns(options: TurnListOptions = {}): Promise<TurnSummary[]> {
    return await (this.#server.shared?.turns(options) ?? turnsOf(this.#server, options));
  }

  /**
   * Returns a job's turn, or any other turn of a member, that waits, runs or has ended, as long as the journal keeps it.
   *
   * @throws CastellanError `JOURNAL_UNAVAILABLE`, `SUPERVISOR_STOPPED`
   */
  async turn(id: string): Promise<Turn | undefined> {
    return (await this.#server.shared?.turn(id)) ?? (await findTurn(this.#server, id));
  }
}

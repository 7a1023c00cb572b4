import type { Timer } from "../clock.ts";
import { CastellanError } from "../errors.ts";
import { withoutUndefined } from "../fields.ts";
import { formatName } from "../names.ts";
import type { Approval } from "../session/conversation/approval.ts";
import type { JobOptions } from "../session/options/job-options.ts";
import type { Prompt } from "../session/options/prompt.ts";
import type { SessionSettings } from "../session/options/session-settings.ts";
import type { TurnOptions } from "../session/options/turn-options.ts";
import type { SessionServer } from "../session/session-server.ts";
import type { FarTurn } from "../session/streams/far-turn.ts";
import type { Turn } from "../session/streams/turn.ts";
import type { TurnListOptions, TurnSummary } from "../session/turns/turn-summary.ts";
import { balancerOf } from "./balance-option.ts";
import type { Balancer, Candidate } from "./balancer.ts";
import { pickCandidate } from "./balancer.ts";
import { exhaustedError } from "./exhausted-error.ts";
import { Member, resetMember } from "./member.ts";
import { MemberRevival } from "./member-revival.ts";
import { type CheckinReason, PoolEvents, type RemovalReason } from "./pool-events.ts";
import type { PoolHost } from "./pool-host.ts";
import { PoolJobs } from "./pool-jobs.ts";
import type { PoolSettings } from "./pool-options.ts";
import { missingMembers, removableIn } from "./pool-size.ts";
import type { PoolStatus } from "./pool-status.ts";
import { type Borrower, type Waiter, WaitQueue } from "./wait-queue.ts";

/** The delay before the pool retries to add a member. It doubles each time, up to a minute. */
const RETRY_MS = 1_000;
const LONGEST_RETRY_MS = 60_000;

/** The jobs of a global pool, on any node. */
export interface SharedPool {
  enqueue(prompt: Prompt, options: JobOptions): Promise<string>;
  turn(id: string): Promise<Turn | undefined>;
  turns(options: TurnListOptions): Promise<TurnSummary[]>;
}

/**
 * The members of a pool and the callers that wait for one. Every change calls {@link PoolServer.update}, which does whatever is
 * due.
 */
export class PoolServer {
  readonly host: PoolHost;
  readonly jobs: PoolJobs;
  /** The jobs of a global pool, which are those of all nodes; undefined until the node has joined its cluster. */
  shared: SharedPool | undefined;
  #settings: PoolSettings;
  #balancer: Balancer;
  /** The settings that all members share. */
  #common: SessionSettings;
  readonly #members = new Map<number, Member>();
  readonly #queue: WaitQueue;
  readonly #events: PoolEvents;
  #began = false;
  /** Starts turns in the next process of the application, once that has the pool. */
  far: ((prompt: Prompt, options: TurnOptions) => FarTurn) | undefined;
  /** Why the pool no longer lends; undefined while it does. */
  #closed: CastellanError | undefined;
  #updating: "no" | "yes" | "again" = "no";
  /** The number of consecutive failures to add a member. */
  #failures = 0;
  #retry: Timer | undefined;
  readonly #revival: MemberRevival;
  #shrinking: Timer | undefined;

  /** Called when a loan of this member was garbage-collected without a checkin. */
  readonly dropped: (member: Member) => void = (member) => void this.#dropped(member);

  constructor(settings: PoolSettings, host: PoolHost) {
    this.host = host;
    this.#settings = settings;
    this.#events = new PoolEvents(settings.name, host.journal.supervisor, host.clock);
    this.#queue = new WaitQueue(host.clock, {
      left: (waiter, waitedMs, as) => this.#events.left(waiter, waitedMs, as),
      timedOut: (waiter, waiting) => waiter.refuse(this.#exhausted("and none was returned", waiting, waiter.timeoutMs)),
    });
    this.#revival = new MemberRevival(host.clock);
    this.#common = host.settings(0);
    this.#balancer = this.#newBalancer();
    this.jobs = new PoolJobs({
      host,
      name: settings.name,
      limit: () => this.#settings.jobLimit,
      common: () => this.#common,
      giveBack: (member) => void this.giveBack(member, "turn_ended"),
      update: () => this.update(),
    });
  }

  get settings(): PoolSettings {
    return this.#settings;
  }

  /** The settings that the turns of all members share. */
  get common(): SessionSettings {
    return this.#common;
  }

  get who(): string {
    return `pool ${JSON.stringify(this.#settings.name)}`;
  }

  get status(): PoolStatus {
    const { name, min, max } = this.#settings;
    const members = this.#ordered;
    const { shortfall } = this;
    return {
      name,
      size: this.#usable.length,
      min,
      max,
      lent: members.filter(({ use }) => use === "lent").length,
      idle: this.#usable.filter(({ use, idle }) => use === "free" && idle).length,
      waiting: this.#queue.length,
      jobs: this.jobs.waiting,
      ...withoutUndefined({ shortfall, retryAt: this.#revival.at }),
      members: members.map(({ name: member, server, use }) => ({ name: member, state: server.status().state, use })),
    };
  }

  /** Why the pool has fewer usable members than it should, in words; undefined if it has enough. */
  get shortfall(): string | undefined {
    const { min } = this.#settings;
    const usable = this.#usable.length;
    const wanted = Math.max(min, this.#demand > 0 ? 1 : 0);
    if (!this.#began || this.#closed !== undefined || usable >= wanted) return undefined;
    const refusal = this.#refusal;
    const why = refusal === undefined ? "" : `; ${refusal.message}`;
    return `${this.who} has ${usable} of ${wanted} members that take turns${why}`;
  }

  /** Why the last unusable member takes no turns. */
  get #refusal(): CastellanError | undefined {
    return this.#ordered.findLast(({ usable }) => !usable)?.server.refusal();
  }

  get servers(): readonly SessionServer[] {
    return this.#ordered.map(({ server }) => server);
  }

  /** The pending permission requests of all members. */
  get approvals(): readonly Approval[] {
    return this.#ordered.flatMap(({ server }) => server.approvals);
  }

  /** Adds the first members, which takes their names. @throws CastellanError `SESSION_ALREADY_STARTED`, `INVALID_OPTIONS` */
  open(): void {
    for (let index = 0; index < this.#settings.min; index++) this.#add(index);
  }

  /** Starts the members once the tree has started, and adds those that have unfinished turns in the journal. */
  begin(unfinished: readonly number[]): void {
    this.#began = true;
    for (const member of this.#ordered) void this.#start(member);
    for (const index of unfinished) if (!this.#members.has(index)) this.#tryAdd(index);
    for (const member of this.#ordered) member.owes = unfinished.includes(member.index);
    this.jobs.begin();
    this.update();
  }

  /** Applies other settings. A lent member gets them when it is checked in. */
  revise(settings: PoolSettings): void {
    const before = this.#settings;
    this.#settings = settings;
    this.#common = this.host.settings(0);
    if (before.balance !== settings.balance) this.#balancer = this.#newBalancer();
    for (const member of this.#members.values()) member.settings = this.host.settings(member.index);
    this.update();
  }

  /** Stops lending, and rejects the waiting callers with `reason`. */
  close(reason: CastellanError): void {
    this.#closed ??= reason;
    this.#retry?.cancel();
    this.#revival.cancel();
    this.#shrinking?.cancel();
    this.#queue.refuseAll(reason, "refused");
    this.jobs.close(reason);
    this.#events.closed(reason.code === "SUPERVISOR_STOPPED");
  }

  /** Hands the pool over to the next process of the application: turns that wait start there. It lends no more members. */
  handOver(far: NonNullable<PoolServer["far"]>, reason: CastellanError): void {
    this.far = far;
    for (const waiter of [...this.#queue]) {
      if (waiter.start !== undefined && this.#queue.leave(waiter, "granted")) waiter.start(far);
    }
    this.close(reason);
  }

  /** Lends members again, because the pool has come back. */
  reopen(): void {
    if (this.far === undefined) return;
    this.far = undefined;
    this.#closed = undefined;
    this.begin([]);
  }

  /**
   * Adds a caller to the wait queue, and serves it at once if a member is free.
   *
   * @throws CastellanError `POOL_EXHAUSTED` if the queue is full or the caller does not wait; the reason for which the pool is
   * closed
   */
  enqueue(waiter: Waiter): void {
    if (this.#closed !== undefined) throw this.#closed;
    const { waitingLimit } = this.#settings;
    this.#queue.join(waiter);
    this.update();
    const { length } = this.#queue;
    const full = length > waitingLimit ? `and ${waitingLimit} callers wait, which is its \`waitingLimit\`` : undefined;
    const why = full ?? (waiter.timeoutMs <= 0 ? "and the caller does not wait" : undefined);
    if (why !== undefined && this.#queue.leave(waiter, "exhausted")) throw this.#exhausted(why, this.#queue.length, 0);
    if (this.#queue.waitedMs(waiter) !== undefined) this.#events.waits(waiter);
  }

  /** Removes a caller from the wait queue; does nothing if it has left already. */
  withdraw(waiter: Waiter): void {
    if (this.#queue.leave(waiter, "cancelled")) waiter.cancelled(undefined);
  }

  /** Returns the error of a caller that got no member. */
  #exhausted(reason: string, waiting: number, timeoutMs: number): CastellanError<"POOL_EXHAUSTED"> {
    return exhaustedError(this.status, reason, waiting, timeoutMs, this.#refusal);
  }

  /** Takes back a lent member. Resolves once its turns have ended; interrupts the turns of a loan. */
  async giveBack(member: Member, why: CheckinReason): Promise<void> {
    this.#events.givenBack(member, why);
    if (member.use === "lent") member.use = "resetting";
    // The borrower may have left files in the working directory without asking a turn.
    if (this.#settings.fresh) member.server.forgetting.emptyFirst();
    if (why !== "turn_ended") await member.server.cancelAll().catch(() => {});
    if (member.use === "resetting") void this.#reset(member);
    this.update();
  }

  /** Does whatever is due. Call it after every change. */
  update(): void {
    if (this.#updating !== "no") {
      this.#updating = "again";
      return;
    }
    do {
      this.#updating = "yes";
      this.#prune();
      if (this.#began && this.#closed === undefined) {
        this.#shrink();
        this.#serve();
        // Callers come first.
        this.jobs.serve(
          (request) => this.#pick(request),
          (member, request) => this.#lend(member, request, 0),
        );
        this.#grow();
        this.#revive();
        this.#refuseWaiters();
        this.#watch();
      }
    } while (this.#isAgain);
    this.#updating = "no";
  }

  get #isAgain(): boolean {
    return this.#updating === "again";
  }

  get #ordered(): readonly Member[] {
    return [...this.#members.values()].toSorted((one, other) => one.index - other.index);
  }

  get #usable(): readonly Member[] {
    return this.#ordered.filter(({ usable }) => usable);
  }

  /** The number of callers that wait for a member, and of jobs that one can take. */
  get #demand(): number {
    return this.#queue.length + this.jobs.ready;
  }

  #newBalancer(): Balancer {
    return balancerOf(this.#settings.balance, () => this.#ordered.map(({ name }) => name));
  }

  /** Forgets members that have ended. A loan of such a member stays, and its calls reject with the reason. */
  #prune(): void {
    for (const member of this.#ordered) {
      const { state } = member.server;
      const ended = state.name === "stopped" && state.as === "session";
      if (member.use !== "leaving" && (ended || !this.host.holds(member.server))) this.#forget(member, "ended");
    }
  }

  /** Removes members above `max`, and members above `min` that have been idle for `shrinkAfter`. */
  #shrink(): void {
    const { min, max, shrinkAfterMs } = this.#settings;
    const now = this.host.clock.monotonic();
    let next = Number.POSITIVE_INFINITY;
    for (const member of this.#usable.filter(({ use, idle }) => use === "free" && idle).toReversed()) {
      const size = { min, max, usable: this.#usable.length, waiting: this.#demand };
      const dueMs = removableIn(size, now - member.freeSince, shrinkAfterMs);
      if (dueMs === undefined) break;
      if (dueMs === 0) this.#remove(member);
      else next = Math.min(next, dueMs);
    }
    this.#shrinking?.cancel();
    this.#shrinking = undefined;
    if (next === Number.POSITIVE_INFINITY) return;
    this.#shrinking = this.host.clock.schedule(next, () => this.update(), { background: true });
  }

  /** Serves the waiting callers in order. */
  #serve(): void {
    for (const waiter of this.#queue) {
      try {
        const member = this.#pick(waiter);
        if (member === undefined) return;
        const waitedMs = this.#queue.waitedMs(waiter) ?? 0;
        this.#queue.leave(waiter, "granted");
        if (waiter.wants === "loan" || this.#settings.fresh) {
          this.#lend(member, waiter, waitedMs);
        }
        waiter.grant(member);
      } catch (error) {
        // The application's own balancer can throw anything.
        if (this.#queue.leave(waiter, "refused")) waiter.refuse(error);
      }
    }
  }

  #lend(member: Member, borrower: Borrower, waitedMs: number): void {
    member.use = "lent";
    this.#events.lent(member, borrower, waitedMs);
  }

  #pick(waiter: Borrower): Member | undefined {
    const { fresh } = this.#settings;
    const candidates = new Map<Candidate, Member>();
    for (const member of this.#usable) {
      if (member.use !== "free") continue;
      // Somebody has queried this member by its own name. The next borrower must not see that conversation.
      if (fresh && !member.server.forgetting.isDone) void this.#reset(member);
      else if (fresh || waiter.wants === "turn" || member.idle) {
        const { candidate } = member;
        if (candidate !== undefined) candidates.set(candidate, member);
      }
    }
    const pick = pickCandidate(this.#balancer, [...candidates.keys()], waiter.key, this.host.random());
    return pick === undefined ? undefined : candidates.get(pick);
  }

  /** Adds members up to `min`, and one for each waiting caller up to `max`. */
  #grow(): void {
    if (this.#retry !== undefined) return;
    const { min, max } = this.#settings;
    const pending = this.#usable.filter(({ use }) => use === "joining" || use === "resetting").length;
    let missing = missingMembers({ min, max, usable: this.#usable.length, pending, waiting: this.#demand });
    for (; missing > 0 && !this.#tooManyUnusable; missing--) {
      let index = 0;
      while (this.#members.has(index)) index++;
      if (!this.#tryAdd(index)) return;
    }
  }

  /**
   * Whether as many members are unusable as the pool may have. Another one would likely fail too, so the pool restarts a
   * quarantined one after a delay instead.
   */
  get #tooManyUnusable(): boolean {
    return this.#members.size - this.#usable.length >= this.#settings.max;
  }

  /** Rejects the waiting callers when all members have been stopped by a call, for example together with the supervisor above. */
  #refuseWaiters(): void {
    if (
      this.#queue.length === 0 ||
      this.#usable.length > 0 ||
      !this.#tooManyUnusable ||
      this.#ordered.some(({ quarantined }) => quarantined)
    )
      return;
    this.#queue.refuseAll(this.#exhausted("and all members have been stopped", this.#queue.length, 0), "exhausted");
  }

  /**
   * Schedules the restart of the member that was quarantined first, if it has unfinished turns, or if the pool is short of
   * members and may add no more.
   */
  #revive(): void {
    const { min, max } = this.#settings;
    const wanted = Math.min(max, Math.max(min, this.#demand));
    const isShort = this.#usable.length < wanted && this.#tooManyUnusable;
    const isWanted = ({ quarantined, owes }: Member): boolean => quarantined && (isShort || owes);
    if (!this.#ordered.some(isWanted)) return;
    this.#revival.schedule(() => {
      const [first] = this.#ordered.filter(isWanted).toSorted((one, other) => one.exitedAt - other.exitedAt);
      if (first !== undefined) void this.#restart(first);
    });
  }

  /** Restarts a quarantined member. */
  async #restart(member: Member): Promise<void> {
    member.use = "resetting";
    // A failed restart quarantines the member again.
    await member.owner.restart({ conversation: this.#settings.fresh ? "clear" : "keep" }).catch(() => {});
    // Its next process takes its turns from the journal.
    if (member.owes) await member.server.wake().catch(() => {});
    await this.#reset(member);
  }

  /** Takes back the member of a garbage-collected loan. Its turns end first, since somebody may still wait for their results. */
  async #dropped(member: Member): Promise<void> {
    if (this.#closed !== undefined) return;
    const message = `${this.who}: the loan of session ${formatName(member.name)} was garbage-collected without a checkin. Use \`await using\`, \`use()\` or \`lease\`.`;
    process.emitWarning(message, { type: "CastellanWarning", code: "LOAN_DROPPED" });
    await member.server.finishTurns();
    await this.giveBack(member, "dropped");
  }

  /** Calls `update` again once busy members are idle, if callers wait for a member or the pool has too many. */
  #watch(): void {
    const tooMany = this.#usable.length > this.#settings.max;
    if (this.#demand === 0 && !tooMany) return;
    for (const member of this.#usable) {
      if (member.use !== "free" || member.idle || member.watched) continue;
      member.watched = true;
      void member.server.finishTurns().then(() => {
        member.watched = false;
        this.update();
      });
    }
  }

  #add(index: number): Member {
    const member = new Member(index, this.host.add(index));
    this.#members.set(index, member);
    this.#events.added(member);
    return member;
  }

  /** Adds a member, skipping indexes whose names other sessions have. Returns whether one was added. */
  #tryAdd(first: number): boolean {
    for (let index = first; index <= first + this.#settings.max; index++) {
      if (this.#members.has(index)) continue;
      try {
        void this.#start(this.#add(index));
        return true;
      } catch (error) {
        if (!CastellanError.is(error, "SESSION_ALREADY_STARTED")) break;
      }
    }
    this.#retryLater();
    return false;
  }

  async #start(member: Member): Promise<void> {
    const { server, begin } = member;
    try {
      await begin(() => {
        // An earlier run of the application may have left a borrower's conversation. Queued turns of that borrower still belong
        // to it.
        if (!this.#settings.fresh || !member.idle) return;
        if (!server.forgetting.isDone) server.forgetting.clearNext();
        server.forgetting.emptyFirst();
      });
    } catch {
      this.#forget(member, "failed");
      this.#retryLater();
      this.update();
      return;
    }
    this.#failures = 0;
    await this.#reset(member);
  }

  /** Retries to add a member after a delay. */
  #retryLater(): void {
    if (this.#retry !== undefined || this.#closed !== undefined) return;
    const delay = Math.min(LONGEST_RETRY_MS, RETRY_MS * 2 ** this.#failures);
    this.#failures += 1;
    const again = (): void => {
      this.#retry = undefined;
      this.update();
    };
    this.#retry = this.host.clock.schedule(delay, again, { background: true });
  }

  /** Resets a member for the next borrower; removes it if the reset fails. */
  async #reset(member: Member): Promise<void> {
    member.use = "resetting";
    const { host } = this;
    const reconfigure: PoolHost["reconfigure"] = (server, settings) => host.reconfigure(server, settings);
    const isReady = await resetMember(member, () => this.#settings.fresh, reconfigure);
    member.use = "free";
    member.owes &&= !member.usable;
    member.freeSince = host.clock.monotonic();
    if (!isReady && member.usable && host.holds(member.server)) this.#remove(member);
    this.update();
  }

  #remove(member: Member): void {
    member.use = "leaving";
    void this.host
      .remove(member.server)
      .catch(() => {})
      .then(() => {
        this.#forget(member, "removed");
        this.update();
      });
  }

  /** Idempotent. */
  #forget(member: Member, why: RemovalReason): void {
    if (this.#members.get(member.index) !== member) return;
    this.#members.delete(member.index);
    this.#events.removed(member, why);
  }
}

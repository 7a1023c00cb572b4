import type { Clock, Timer } from "../clock.ts";
import { formatDuration } from "../duration.ts";
import { CastellanError } from "../errors.ts";
import { withoutUndefined } from "../fields.ts";
import { formatName } from "../names.ts";
import type { SessionSettings } from "../session/options/session-settings.ts";
import type { SessionServer } from "../session/session-server.ts";
import { balancerOf } from "./balance-option.ts";
import type { Balancer, Candidate } from "./balancer.ts";
import { pickedBy } from "./balancer.ts";
import { type Joining, Member, tidied } from "./member.ts";
import { type GivenBack, PoolNews, type Removed } from "./pool-news.ts";
import type { PoolSettings } from "./pool-options.ts";
import { leavesIn, missingMembers } from "./pool-size.ts";
import type { PoolStatus } from "./pool-status.ts";
import { type Waiter, WaitQueue } from "./wait-queue.ts";

/** How long it is waited before another member is added where one could not be: twice as long each time, up to a minute. */
const RETRY_MS = 1_000;
const LONGEST_RETRY_MS = 60_000;

/** What a pool asks of the tree that it is in. */
export interface PoolHost {
  readonly clock: Clock;
  readonly newId: () => string;
  /** A number from 0 up to 1. */
  readonly random: () => number;
  /** The name under which the supervisor writes its journal, for events. */
  readonly supervisor: string;
  /** The settings of the member of this index. */
  settings(index: number): SessionSettings;
  /** Adds a session as a member, and takes its name. @throws CastellanError `SESSION_ALREADY_STARTED`, `INVALID_OPTIONS` */
  add(index: number): Joining;
  /** Ends a member, and resolves when its process is gone. */
  remove(server: SessionServer): Promise<void>;
  /** Has a member take up other settings with its next process. */
  reconfigure(server: SessionServer, settings: SessionSettings): void;
  /** Whether the tree still has this very session. */
  holds(server: SessionServer): boolean;
}

/**
 * The members of a pool and those who wait for one. Whatever happens, {@link PoolServer.tend} looks at what there is and does
 * what is due.
 */
export class PoolServer {
  readonly host: PoolHost;
  #settings: PoolSettings;
  #balancer: Balancer;
  /** As those of any member. */
  #common: SessionSettings;
  readonly #members = new Map<number, Member>();
  readonly #queue: WaitQueue;
  readonly #news: PoolNews;
  #began = false;
  /** Why nothing is lent any more, if that is so. */
  #closed: CastellanError | undefined;
  #tending: "no" | "yes" | "again" = "no";
  /** How many times in a row a member could not be added. */
  #failures = 0;
  #retry: Timer | undefined;
  /** Has a quarantined member begin again. */
  #revival: { readonly timer: Timer; readonly at: number } | undefined;
  /** How many of those there have been in a row, and when the last one was, on the monotonic clock. */
  #revivals = 0;
  #revivedAt = 0;
  #shrinking: Timer | undefined;

  /** Nobody holds a loan of this member any more. */
  readonly dropped: (member: Member) => void = (member) => void this.#dropped(member);

  constructor(settings: PoolSettings, host: PoolHost) {
    this.host = host;
    this.#settings = settings;
    this.#news = new PoolNews(settings.name, host.supervisor, host.clock);
    this.#queue = new WaitQueue(host.clock, {
      left: (waiter, waitedMs, as) => this.#news.left(waiter, waitedMs, as),
      late: (waiter, waiting) => waiter.refuse(this.#exhausted("and nobody gave one back", waiting, waiter.timeoutMs)),
    });
    this.#common = host.settings(0);
    this.#balancer = this.#newBalancer();
  }

  get settings(): PoolSettings {
    return this.#settings;
  }

  /** What holds for the turns of all members. */
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
      size: this.#fit.length,
      min,
      max,
      lent: members.filter(({ use }) => use === "lent").length,
      idle: this.#fit.filter(({ use, rests }) => use === "free" && rests).length,
      waiting: this.#queue.length,
      ...withoutUndefined({ shortfall, retryAt: this.#revival?.at }),
      members: members.map(({ name: member, server, use }) => ({ name: member, state: server.status().state, use })),
    };
  }

  /** Why it has fewer members that take turns than it should, in words, if it has. */
  get shortfall(): string | undefined {
    const { min } = this.#settings;
    const fit = this.#fit.length;
    const wanted = Math.max(min, this.#queue.length > 0 ? 1 : 0);
    if (!this.#began || this.#closed !== undefined || fit >= wanted) return undefined;
    const refusal = this.#refusal;
    const why = refusal === undefined ? "" : `; ${refusal.message}`;
    return `${this.who} has ${fit} of ${wanted} members that take turns${why}`;
  }

  /** Why the last of those that take no turns does not. */
  get #refusal(): CastellanError | undefined {
    return this.#ordered.findLast(({ fit }) => !fit)?.server.refusal();
  }

  get servers(): readonly SessionServer[] {
    return this.#ordered.map(({ server }) => server);
  }

  /** Takes the names of its first members. @throws CastellanError `SESSION_ALREADY_STARTED`, `INVALID_OPTIONS` */
  open(): void {
    for (let index = 0; index < this.#settings.min; index++) this.#join(index);
  }

  /** Has the members begin, now that the tree has been started; with them those that have turns from before. */
  begin(unfinished: readonly number[]): void {
    this.#began = true;
    for (const member of this.#ordered) void this.#bring(member);
    for (const index of unfinished) if (!this.#members.has(index)) this.#tryJoin(index);
    this.tend();
  }

  /** Goes on with other settings; what is lent is left alone until it comes back. */
  revise(settings: PoolSettings): void {
    const before = this.#settings;
    this.#settings = settings;
    this.#common = this.host.settings(0);
    if (before.balance !== settings.balance) this.#balancer = this.#newBalancer();
    for (const member of this.#members.values()) member.settings = this.host.settings(member.index);
    this.tend();
  }

  /** Lends nothing any more, and says why to those who wait. */
  close(reason: CastellanError): void {
    this.#closed ??= reason;
    this.#retry?.cancel();
    this.#revival?.timer.cancel();
    this.#revival = undefined;
    this.#shrinking?.cancel();
    this.#queue.refuseAll(reason, "refused");
    this.#news.closed(reason.code === "SUPERVISOR_STOPPED");
  }

  /**
   * Puts somebody in the line, who may be served at once.
   *
   * @throws CastellanError `POOL_EXHAUSTED` if the line is full, or it would not wait; why the pool is closed
   */
  enter(waiter: Waiter): void {
    if (this.#closed !== undefined) throw this.#closed;
    const { waitingLimit } = this.#settings;
    this.#queue.join(waiter);
    this.tend();
    const { length } = this.#queue;
    const full = length > waitingLimit ? `${waitingLimit} wait already, which is its \`waitingLimit\`` : undefined;
    const why = full ?? (waiter.timeoutMs <= 0 ? "and it was not to be waited" : undefined);
    if (why !== undefined && this.#queue.leave(waiter, "exhausted")) throw this.#exhausted(why, this.#queue.length, 0);
    if (this.#queue.waitedMs(waiter) !== undefined) this.#news.waits(waiter);
  }

  /** Takes somebody out of the line; does nothing if it has left. */
  withdraw(waiter: Waiter): void {
    if (this.#queue.leave(waiter, "cancelled")) waiter.cancelled(undefined);
  }

  /** The error of one who waited in vain. */
  #exhausted(reason: string, waiting: number, timeoutMs: number): CastellanError<"POOL_EXHAUSTED"> {
    const { name, size, lent } = this.status;
    const cause = size === 0 ? this.#refusal : undefined;
    const why = cause === undefined ? reason : "and all others are quarantined or stopped";
    const waited = timeoutMs > 0 ? ` within ${formatDuration(timeoutMs)}` : "";
    const message = `${this.who} has no member to lend${waited}: of ${size} are ${lent} lent, ${why}. Make it larger, or ask again later.`;
    const details = { pool: name, size, lent, waiting, timeoutMs };
    return new CastellanError("POOL_EXHAUSTED", message, { details, cause });
  }

  /** A member is no longer lent. Resolves when its turns have ended; those of a loan are stopped for that. */
  async giveBack(member: Member, why: GivenBack): Promise<void> {
    this.#news.givenBack(member, why);
    if (member.use === "lent") member.use = "tidying";
    // A borrower may have put files there without having asked anything.
    if (this.#settings.fresh) member.server.emptyFirst();
    if (why !== "turn_ended") await member.server.cancelAll().catch(() => {});
    if (member.use === "tidying") void this.#tidy(member);
    this.tend();
  }

  /** Looks at what there is, and does what is due. To be called whenever something has changed. */
  tend(): void {
    if (this.#tending !== "no") {
      this.#tending = "again";
      return;
    }
    do {
      this.#tending = "yes";
      this.#prune();
      if (this.#began && this.#closed === undefined) {
        this.#shrink();
        this.#serve();
        this.#grow();
        this.#revive();
        this.#giveUp();
        this.#watch();
      }
    } while (this.#isAgain);
    this.#tending = "no";
  }

  get #isAgain(): boolean {
    return this.#tending === "again";
  }

  get #ordered(): readonly Member[] {
    return [...this.#members.values()].toSorted((one, other) => one.index - other.index);
  }

  get #fit(): readonly Member[] {
    return this.#ordered.filter(({ fit }) => fit);
  }

  #newBalancer(): Balancer {
    return balancerOf(this.#settings.balance, () => this.#ordered.map(({ name }) => name));
  }

  /** Forgets those that somebody has ended. A loan of one goes on, and says what has become of it. */
  #prune(): void {
    for (const member of this.#ordered) {
      const { state } = member.server;
      const ended = state.name === "stopped" && state.as === "session";
      if (member.use !== "leaving" && (ended || !this.host.holds(member.server))) this.#drop(member, "ended");
    }
  }

  /** Takes out those that are too many, and those above `min` that nobody has needed for a while. */
  #shrink(): void {
    const { min, max, shrinkAfterMs } = this.#settings;
    const now = this.host.clock.monotonic();
    let next = Number.POSITIVE_INFINITY;
    for (const member of this.#fit.filter(({ use, rests }) => use === "free" && rests).toReversed()) {
      const size = { min, max, fit: this.#fit.length, waiting: this.#queue.length };
      const dueMs = leavesIn(size, now - member.freeSince, shrinkAfterMs);
      if (dueMs === undefined) break;
      if (dueMs === 0) this.#remove(member);
      else next = Math.min(next, dueMs);
    }
    this.#shrinking?.cancel();
    this.#shrinking = undefined;
    if (next === Number.POSITIVE_INFINITY) return;
    this.#shrinking = this.host.clock.schedule(next, () => this.tend(), { background: true });
  }

  /** Serves those who wait, in their order. */
  #serve(): void {
    for (const waiter of this.#queue) {
      try {
        const member = this.#pick(waiter);
        if (member === undefined) return;
        const waitedMs = this.#queue.waitedMs(waiter) ?? 0;
        this.#queue.leave(waiter, "granted");
        if (waiter.wants === "loan" || this.#settings.fresh) {
          member.use = "lent";
          this.#news.lent(member, waiter, waitedMs);
        }
        waiter.grant(member);
      } catch (error) {
        // A balancer of the application's own may throw anything.
        if (this.#queue.leave(waiter, "refused")) waiter.refuse(error);
      }
    }
  }

  #pick(waiter: Waiter): Member | undefined {
    const { fresh } = this.#settings;
    const candidates = new Map<Candidate, Member>();
    for (const member of this.#fit) {
      if (member.use !== "free") continue;
      // What somebody has asked of it by its name, past the pool, is nobody else's business.
      if (fresh && !member.server.untouched) void this.#tidy(member);
      else if (fresh || waiter.wants === "turn" || member.rests) {
        const { candidate } = member;
        if (candidate !== undefined) candidates.set(candidate, member);
      }
    }
    const pick = pickedBy(this.#balancer, [...candidates.keys()], waiter.key, this.host.random());
    return pick === undefined ? undefined : candidates.get(pick);
  }

  /** Adds members: as many as there are to be, and one for each who waits while there may be more. */
  #grow(): void {
    if (this.#retry !== undefined) return;
    const { min, max } = this.#settings;
    const coming = this.#fit.filter(({ use }) => use === "joining" || use === "tidying").length;
    let missing = missingMembers({ min, max, fit: this.#fit.length, coming, waiting: this.#queue.length });
    for (; missing > 0 && !this.#manyOut; missing--) {
      let index = 0;
      while (this.#members.has(index)) index++;
      if (!this.#tryJoin(index)) return;
    }
  }

  /** So many are quarantined that another one would fare no better; one of them begins again after a while. */
  get #manyOut(): boolean {
    return this.#members.size - this.#fit.length >= this.#settings.max;
  }

  /** Nobody waits for a pool of which all have been stopped by somebody, as with the supervisor above. */
  #giveUp(): void {
    if (this.#queue.length === 0 || this.#fit.length > 0 || !this.#manyOut || this.#ordered.some(isQuarantined)) return;
    this.#queue.refuseAll(this.#exhausted("and all have been stopped", this.#queue.length, 0), "exhausted");
  }

  /**
   * While there are too few, and so many are quarantined that no more are added, has the one that was quarantined first begin again: after a
   * second, then after twice as long each time.
   */
  #revive(): void {
    const { min, max } = this.#settings;
    const wanted = Math.min(max, Math.max(min, this.#queue.length));
    if (this.#fit.length >= wanted || this.#revival !== undefined || !this.#manyOut) return;
    if (!this.#ordered.some(isQuarantined)) return;
    const { clock } = this.host;
    // Whoever has been well for as long as the longest wait begins anew.
    if (clock.monotonic() - this.#revivedAt > 2 * LONGEST_RETRY_MS) this.#revivals = 0;
    const delay = Math.min(LONGEST_RETRY_MS, RETRY_MS * 2 ** this.#revivals);
    this.#revivals += 1;
    const again = (): void => {
      this.#revival = undefined;
      this.#revivedAt = clock.monotonic();
      const [first] = this.#ordered
        .filter(isQuarantined)
        .toSorted((one, other) => quarantinedSince(one) - quarantinedSince(other));
      if (first !== undefined) void this.#lift(first);
    };
    this.#revival = { timer: clock.schedule(delay, again, { background: true }), at: clock.now() + delay };
  }

  /** Has a quarantined member begin again. */
  async #lift(member: Member): Promise<void> {
    member.use = "tidying";
    // What goes wrong quarantines it again.
    await member.owner.restart({ conversation: this.#settings.fresh ? "clear" : "keep" }).catch(() => {});
    await this.#tidy(member);
  }

  /** Nobody holds a loan any more. What its borrower has asked may still be waited for, and comes to its end first. */
  async #dropped(member: Member): Promise<void> {
    if (this.#closed !== undefined) return;
    const message = `${this.who}: the loan of session ${formatName(member.name)} was dropped without having been checked in. Use \`await using\`, \`use()\` or \`lease\`.`;
    process.emitWarning(message, { type: "CastellanWarning", code: "LOAN_DROPPED" });
    await member.server.finishTurns();
    await this.giveBack(member, "dropped");
  }

  /** Has it looked again when those have come to rest that somebody waits for, or that are too many. */
  #watch(): void {
    const tooMany = this.#fit.length > this.#settings.max;
    if (this.#queue.length === 0 && !tooMany) return;
    for (const member of this.#fit) {
      if (member.use !== "free" || member.rests || member.watched) continue;
      member.watched = true;
      void member.server.finishTurns().then(() => {
        member.watched = false;
        this.tend();
      });
    }
  }

  #join(index: number): Member {
    const member = new Member(index, this.host.add(index));
    this.#members.set(index, member);
    this.#news.added(member);
    return member;
  }

  /** Whether a member could be added; if its name is another session's, the next one is tried. */
  #tryJoin(first: number): boolean {
    for (let index = first; index <= first + this.#settings.max; index++) {
      if (this.#members.has(index)) continue;
      try {
        void this.#bring(this.#join(index));
        return true;
      } catch (error) {
        if (!CastellanError.is(error, "SESSION_ALREADY_STARTED")) break;
      }
    }
    this.#failed();
    return false;
  }

  async #bring(member: Member): Promise<void> {
    const { server, begin } = member;
    try {
      await begin(() => {
        // An application that has ended may have left it in another's conversation; what waits in it still belongs there.
        if (!this.#settings.fresh || !member.rests) return;
        if (!server.untouched) server.forget();
        server.emptyFirst();
      });
    } catch {
      this.#drop(member, "failed");
      this.#failed();
      this.tend();
      return;
    }
    this.#failures = 0;
    await this.#tidy(member);
  }

  /** A member could not be added; it is tried again after a while. */
  #failed(): void {
    if (this.#retry !== undefined || this.#closed !== undefined) return;
    const delay = Math.min(LONGEST_RETRY_MS, RETRY_MS * 2 ** this.#failures);
    this.#failures += 1;
    const again = (): void => {
      this.#retry = undefined;
      this.tend();
    };
    this.#retry = this.host.clock.schedule(delay, again, { background: true });
  }

  /** Makes a member ready for the next one. One that cannot be made so is nobody's any more. */
  async #tidy(member: Member): Promise<void> {
    member.use = "tidying";
    const { host } = this;
    const reconfigure: PoolHost["reconfigure"] = (server, settings) => host.reconfigure(server, settings);
    const tidy = await tidied(member, () => this.#settings.fresh, reconfigure);
    member.use = "free";
    member.freeSince = host.clock.monotonic();
    if (!tidy && member.fit && host.holds(member.server)) this.#remove(member);
    this.tend();
  }

  #remove(member: Member): void {
    member.use = "leaving";
    void this.host
      .remove(member.server)
      .catch(() => {})
      .then(() => {
        this.#drop(member, "removed");
        this.tend();
      });
  }

  /** Does nothing if it has been dropped before. */
  #drop(member: Member, why: Removed): void {
    if (this.#members.get(member.index) !== member) return;
    this.#members.delete(member.index);
    this.#news.removed(member, why);
  }
}

function isQuarantined({ server, use }: Member): boolean {
  return server.state.name === "quarantined" && use !== "leaving";
}

/** When it was quarantined, in milliseconds since the epoch. */
function quarantinedSince({ server }: Member): number {
  return server.status().lastExit?.at ?? 0;
}

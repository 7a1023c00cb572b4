import type { Clock, Timer } from "../clock.ts";
import { formatDuration } from "../duration.ts";
import { CastellanError } from "../errors.ts";
import { type NodeFacts, publish } from "../events.ts";
import { nameKey, nameOfKey } from "../names.ts";
import { GLOBAL } from "../session/options/global-name.ts";
import { NOTHING_REMOVED, type Removed } from "../session/persistence/erasure.ts";
import { backoffDelay } from "../supervision/backoff.ts";
import { skewChange, skewProblem } from "./clock-skew.ts";
import { hostNodeOf } from "./host-node.ts";
import { leaseLeftMs, type Moment, momentOf } from "./lease.ts";
import { joinUnderName } from "./node-name.ts";
import { type NodePhase, type NodePhaseEvent, nextNodePhase } from "./node-phase.ts";
import { OwnedEpochs } from "./owned-epochs.ts";
import { countPlaced, covers, familyOf, pickNode } from "./placement.ts";
import type { ClockSkew, Engine, NodeDescription, NodeState, SessionOwnership } from "./protocol/engine.ts";
import type { HostedSession, OwnedActivity, SessionActivity, SessionHost } from "./session-host.ts";

/** Settings of a node. Durations are in milliseconds. */
export interface NodeSettings {
  readonly description: Omit<NodeDescription, "boot" | "staleMs">;
  /** Interval of the heartbeat. */
  readonly beatMs: number;
  /** Silence after which other nodes may take its sessions. */
  readonly staleMs: number;
  /** How long before `staleMs` it ends its own processes when its heartbeat fails. */
  readonly marginMs: number;
  /** Canonical names of sessions that must always have an owner. */
  readonly wanted: readonly string[];
}

export interface NodeDeps {
  readonly engine: Engine;
  readonly clock: Clock;
  readonly newId: () => string;
  /** Returns a number in [0, 1), for jitter. */
  readonly random: () => number;
  /**
   * Opens the host of the sessions that this run of the node will own. The host calls `lost` when it finds out that the
   * run owns nothing any more. `acts` tells whether the run may act as an owner now, as far as the node knows.
   */
  openHost(
    boot: string,
    owned: OwnedEpochs,
    lost: (cause: CastellanError) => void,
    acts: () => boolean,
  ): Promise<SessionHost>;
  /**
   * Writes again what the database lacks of the writes of earlier runs, before another node continues their sessions.
   * Leaves out the run `but`, which is still active.
   */
  restore?(but?: string): Promise<void>;
  /** Reports something that the operator should know. */
  warn(message: string): void;
}

/** A session if the node owns it, otherwise its owner as far as the node knows. */
export type FoundSession =
  | { readonly owned: true; readonly session: HostedSession; readonly boot: string; readonly pool?: true }
  | { readonly owned: false; readonly owner?: SessionOwnership | undefined };

/** One run of a node, from joining until it leaves or is declared dead. */
interface Run {
  readonly boot: string;
  readonly owned: OwnedEpochs;
  readonly host: SessionHost;
  /** When the last successful renewal was sent. */
  sent: Moment;
  readonly claims: Map<string, Promise<FoundSession>>;
  /** Sessions with an unanswered claim: the run may own them. */
  readonly doubtful: Set<string>;
  /** Sessions that are being released. */
  readonly releasing: Map<string, Promise<void>>;
  beat?: Timer;
  watch?: Timer;
  looking: boolean;
  /** The era in which the database has all of the run's writes. */
  era: number | undefined;
  catchingUp: boolean;
}

/** Back-off for joining and releasing, in milliseconds. */
const REJOIN = { base: 200, factor: 2, max: 2_000, jitter: 0.2 };

/**
 * Maximum interval between checks of the lease, in milliseconds: timers do not count the time of a suspended machine.
 */
const MOST_UNWATCHED_MS = 200;

/** Maximum number of unowned sessions to look at in one pass. */
const MOST_UNATTENDED = 256;

/**
 * A node of a cluster. It renews its lease, owns sessions while the lease lasts, and claims sessions without an owner.
 *
 * It acts as an owner only while no other node can have taken its sessions. When it cannot be sure any more, it ends
 * all their processes and rejoins as a new run that owns nothing.
 */
export class ClusterNode {
  readonly #settings: NodeSettings;
  readonly #deps: NodeDeps;
  #phase: NodePhase = "joining";
  #run: Run | undefined;
  /** The end of the lost run and the start of the next one. */
  #rejoining: Promise<void> = Promise.resolve();
  #draining: Promise<void> | undefined;
  /** The last known era of the database, over all runs. */
  #era: number | undefined;
  /** The difference of the clocks that the operator was told of. */
  #toldSkew: ClockSkew | undefined;
  #unlisten: () => void = () => {};
  #stopRejoining: (() => void) | undefined;
  /** Earlier runs that may count as alive: the database has not confirmed that they have ended. */
  readonly #unended = new Set<string>();
  /** Why the node has not rejoined although the database answers. */
  #refusal: CastellanError | undefined;

  private constructor(settings: NodeSettings, deps: NodeDeps) {
    this.#settings = settings;
    this.#deps = deps;
  }

  /**
   * Joins the cluster. Waits for a node of the same name that no longer renews its lease, until that counts as dead. On
   * failure nothing is left running.
   *
   * @throws CastellanError `DATABASE_UNAVAILABLE`, `JOURNAL_UNAVAILABLE`; `NODE_NAME_TAKEN` if another node has the name
   */
  static async join(settings: NodeSettings, deps: NodeDeps): Promise<ClusterNode> {
    const node = new ClusterNode(settings, deps);
    await node.#begin();
    node.#unlisten = deps.engine.listen(() => void node.#claimUnattended());
    return node;
  }

  get phase(): NodePhase {
    return this.#phase;
  }

  /** Why the node cannot rejoin although the database answers; undefined if it can. */
  get refusal(): CastellanError | undefined {
    return this.#refusal;
  }

  /** Id of the current run, if any. */
  get boot(): string | undefined {
    return this.#run?.boot;
  }

  /** What is wrong with the machine's clock, compared with the engine's; undefined if nothing is known to be. */
  get clockFault(): string | undefined {
    return skewProblem(this.#deps.engine.skew);
  }

  /** Number of owned sessions. */
  get owned(): number {
    return this.#run?.owned.size ?? 0;
  }

  /** What the node's sessions do. */
  activities(): OwnedActivity[] {
    const run = this.#acting();
    return (run?.owned.keys ?? []).map((key) => ({ key, activity: this.activityOf(key) }));
  }

  /** What a session of this node does. */
  activityOf(key: string): SessionActivity {
    return this.#run?.host.activityOf?.(nameOfKey(key)) ?? "none";
  }

  /** Whether the node's children declare a session of this name. */
  covers(key: string): boolean {
    return covers(this.#settings.description.hosts, key);
  }

  /**
   * Returns the session if the node owns it; with `claim`, claims it first if it can.
   *
   * @throws CastellanError `DATABASE_UNAVAILABLE` if the claim fails; as `SessionHost.session`
   */
  async find(key: string, claim: boolean): Promise<FoundSession> {
    const run = this.#acting();
    if (run === undefined || run.releasing.has(key)) return { owned: false };
    if (run.owned.epochOf(key) !== undefined) return this.#found(run, key);
    if (!claim || this.#phase !== "member" || !this.covers(key)) return { owned: false };
    const present = run.claims.get(key);
    if (present !== undefined) return await present;
    const claiming = this.#claim(run, key).finally(() => run.claims.delete(key));
    run.claims.set(key, claiming);
    return await claiming;
  }

  /** Returns the global pool of this name, if this node hosts it. A pool has members on every node, and no owner. */
  pool(name: string): FoundSession | undefined {
    const run = this.#run;
    const session = run?.host.pool(name);
    return run === undefined || session === undefined
      ? undefined
      : { owned: true, session, boot: run.boot, pool: true };
  }

  /**
   * Releases a session once its running turn has ended, or at the deadline. Resolves once nothing of it runs here and
   * other nodes may claim it; at once if the node does not own it.
   */
  async release(key: string, deadlineMs: number): Promise<void> {
    const run = this.#acting();
    if (run === undefined || run.owned.epochOf(key) === undefined) return;
    const present = run.releasing.get(key) ?? this.#release(run, key, deadlineMs);
    run.releasing.set(key, present);
    await present.finally(() => run.releasing.delete(key));
  }

  /**
   * Removes this machine's files of a session that another node owns. Does nothing if this node owns the session:
   * erasing the session removes them.
   *
   * @throws CastellanError `ERASURE_INCOMPLETE`
   */
  async eraseFiles(key: string, conversations: readonly string[], memory: boolean): Promise<Removed> {
    const run = this.#acting();
    if (run === undefined || run.owned.epochOf(key) !== undefined || !this.covers(key)) return NOTHING_REMOVED;
    return await run.host.eraseFiles(nameOfKey(key), conversations, memory);
  }

  /**
   * Claims nothing more, releases all sessions as {@link ClusterNode.release} does, and leaves. A second call returns
   * the same promise.
   */
  drain(deadlineMs: number): Promise<void> {
    this.#draining ??= this.#drain(deadlineMs);
    return this.#draining;
  }

  async #begin(): Promise<void> {
    const { engine, newId, openHost } = this.#deps;
    const boot = newId();
    const { description } = this.#settings;
    await this.#deps.restore?.();
    for (const former of this.#unended) await this.#leave(former);
    let sent = await this.#enter(boot);
    const pools = description.hosts.pools.map((name) => nameKey([GLOBAL, name]));
    const owned = new OwnedEpochs(pools, familyOf);
    let run: Run | undefined;
    let lost: CastellanError | undefined;
    try {
      const acts = (): boolean => run === undefined || this.#acting() === run;
      const host = await openHost(
        boot,
        owned,
        (cause) => {
          lost = cause;
          if (run !== undefined) this.#lose(run, cause);
        },
        acts,
      );
      sent = await this.#renewBefore(boot, sent);
      run = {
        boot,
        owned,
        host,
        sent,
        claims: new Map(),
        doubtful: new Set(),
        releasing: new Map(),
        looking: false,
        era: engine.era,
        catchingUp: false,
      };
    } catch (error) {
      await this.#leave(boot).catch(() => {});
      throw error;
    }
    this.#run = run;
    this.#refusal = undefined;
    this.#apply("joined");
    publish("castellan:node:join", () => this.#facts(boot));
    this.#reportEra(run);
    this.#scheduleBeat(run);
    this.#watchLease(run);
    // The host may have reported the loss while it opened.
    if (lost !== undefined) this.#lose(run, lost);
    else if (this.#phase === "member") {
      run.host.joined?.(hostNodeOf(engine, boot, (key) => this.#holds(boot, key)));
      void this.#claimUnattended();
    }
  }

  /** Joins under the node's name. @returns when the node asked for the lease that it got */
  async #enter(boot: string): Promise<Moment> {
    const { engine, clock } = this.#deps;
    const { description, staleMs, beatMs } = this.#settings;
    // If the answer is lost, nobody else ends the run.
    this.#unended.add(boot);
    try {
      const isLeaving = (): boolean => this.#phase === "draining";
      return await joinUnderName({ ...description, boot, staleMs }, { engine, clock, beatMs, isLeaving });
    } catch (error) {
      if (CastellanError.is(error, "NODE_NAME_TAKEN")) this.#unended.delete(boot);
      throw error;
    }
  }

  /** Ends a run in the database. @throws CastellanError `DATABASE_UNAVAILABLE` */
  async #leave(boot: string): Promise<void> {
    await this.#deps.engine.leave(boot);
    this.#unended.delete(boot);
  }

  /**
   * Renews the lease of a run that is about to begin, if half of it is over: on a slow database, its journal takes longer to
   * open than the lease lasts. Returns when the last renewal was sent.
   */
  async #renewBefore(boot: string, sent: Moment): Promise<Moment> {
    const { engine, clock } = this.#deps;
    const { staleMs, marginMs } = this.#settings;
    const now = momentOf(clock);
    if (leaseLeftMs(sent, now, staleMs, marginMs) > (staleMs - marginMs) / 2) return sent;
    const answer = await engine.renew(boot, { load: 0, draining: false }).catch(() => undefined);
    if (answer === false) throw this.#givenUp();
    return answer === true ? now : sent;
  }

  async #holds(boot: string, key: string): Promise<boolean> {
    const found = await this.find(key, true);
    return found.owned && found.boot === boot;
  }

  /** Returns the run if it may act as an owner now. */
  #acting(): Run | undefined {
    const run = this.#run;
    if (run === undefined) return undefined;
    if (this.#leftMs(run) > 0) return run;
    this.#lose(run, this.#expired());
    return undefined;
  }

  #leftMs(run: Run): number {
    return leaseLeftMs(run.sent, momentOf(this.#deps.clock), this.#settings.staleMs, this.#settings.marginMs);
  }

  #scheduleBeat(run: Run): void {
    run.beat = this.#deps.clock.schedule(this.#settings.beatMs, () => void this.#beat(run), { background: true });
  }

  async #beat(run: Run): Promise<void> {
    const { engine, clock } = this.#deps;
    const sent = momentOf(clock);
    const state = stateOf(run, this.#phase === "draining", engine.skew);
    const answer = await engine.renew(run.boot, state).catch(() => undefined);
    if (this.#run !== run) return;
    this.#checkClock(run);
    if (answer === false) return this.#lose(run, this.#givenUp());
    // The lease counts from when the renewal was sent, not from when it was answered.
    if (answer === true) run.sent = sent;
    if (this.#acting() !== run) return;
    this.#scheduleBeat(run);
    this.#reportEra(run);
    if (engine.era !== run.era) await this.#catchUp(run);
    await this.#claimUnattended();
  }

  /** Tells of a clock that differs from the engine's, once, and when it does no longer. */
  #checkClock({ boot }: Run): void {
    const { skew } = this.#deps.engine;
    const change = skewChange(this.#toldSkew, skew);
    if (skew === undefined || change.type === "none") return;
    const { name } = this.#settings.description;
    const isOver = change.type === "over";
    this.#toldSkew = isOver ? undefined : skew;
    const words = isOver ? "the clock of this machine agrees with the database's again." : change.problem;
    this.#deps.warn(`Node ${name}: ${words}`);
    publish("castellan:clock:skew", () => ({ ...this.#facts(boot), aheadMs: Math.round(skew.aheadMs), over: isOver }));
  }

  /** Emits an event for each era that begins while the node runs. */
  #reportEra({ boot }: Run): void {
    const { era } = this.#deps.engine;
    const before = this.#era;
    this.#era = era ?? before;
    if (era === undefined || before === undefined || era === before) return;
    publish("castellan:database:failover", () => ({ ...this.#facts(boot), era }));
  }

  /** Writes again what the database lacks. If that is impossible, the host reports the run as lost. */
  async #catchUp(run: Run): Promise<void> {
    if (run.catchingUp) return;
    run.catchingUp = true;
    try {
      const { era } = this.#deps.engine;
      await this.#deps.restore?.(run.boot);
      await run.host.catchUp?.();
      if (era !== undefined) await this.#deps.engine.caughtUp?.(run.boot, era);
      run.era = era;
    } catch {
      // The next beat retries.
    } finally {
      run.catchingUp = false;
    }
  }

  /** Writes again what the database has lost since the last beat: nobody else has it once the node has left. */
  async #catchUpLast(run: Run): Promise<void> {
    const { engine } = this.#deps;
    await engine.renew(run.boot, stateOf(run, true, engine.skew)).catch(() => {});
    if (this.#run === run && engine.era !== run.era) await this.#catchUp(run);
  }

  /** Ends the run in time even if renewals hang. */
  #watchLease(run: Run): void {
    const look = (): void => {
      if (this.#acting() === run) this.#watchLease(run);
    };
    const ms = Math.max(1, Math.min(MOST_UNWATCHED_MS, this.#leftMs(run)));
    run.watch = this.#deps.clock.schedule(ms, look, { background: true });
  }

  /** Claims unowned sessions that the placement assigns to this node. */
  async #claimUnattended(): Promise<void> {
    const run = this.#run;
    if (run === undefined || run.looking || this.#phase !== "member") return;
    run.looking = true;
    try {
      const { engine } = this.#deps;
      await Promise.all([...run.doubtful].map((key) => this.find(key, true).catch(() => {})));
      const keys = await engine.unattended(this.#settings.wanted, MOST_UNATTENDED);
      if (keys.length === 0 || this.#run !== run) return;
      const nodes = (await engine.nodes()).map((node) => ({ ...node }));
      const mine = keys.toSorted().filter((key) => {
        const node = pickNode(nodes, key);
        if (node !== undefined) countPlaced(node, key);
        return node?.boot === run.boot;
      });
      await Promise.all(mine.map((key) => this.find(key, true).catch(() => {})));
    } catch {
      // The next beat retries.
    } finally {
      run.looking = false;
    }
  }

  async #claim(run: Run, key: string): Promise<FoundSession> {
    run.doubtful.add(key);
    const claim = await this.#deps.engine.claim(run.boot, key);
    run.doubtful.delete(key);
    if (!claim.taken) return { owned: false, owner: claim.owner };
    // The claim took so long that the lease is over. Another node may own the session under a higher epoch.
    if (this.#acting() !== run || this.#phase !== "member") {
      if (this.#run === run) await this.#deps.engine.release(run.boot, key, claim.epoch).catch(() => {});
      return { owned: false };
    }
    run.owned.take(key, claim.epoch);
    try {
      const found = this.#found(run, key);
      publish("castellan:global:claim", () => ({
        ...this.#facts(run.boot),
        session: nameOfKey(key),
        epoch: claim.epoch,
      }));
      return found;
    } catch (error) {
      run.owned.drop(key);
      await this.#deps.engine.release(run.boot, key, claim.epoch).catch(() => {});
      throw error;
    }
  }

  #found(run: Run, key: string): FoundSession {
    return { owned: true, session: run.host.session(nameOfKey(key)), boot: run.boot };
  }

  async #release(run: Run, key: string, deadlineMs: number): Promise<void> {
    const epoch = run.owned.epochOf(key);
    await run.host.release(nameOfKey(key), deadlineMs);
    run.owned.drop(key);
    if (epoch === undefined) return;
    publish("castellan:global:release", () => ({ ...this.#facts(run.boot), session: nameOfKey(key), epoch }));
    await this.#free(run, key, epoch);
  }

  /**
   * Releases the session in the database; retries until that is confirmed or the run is lost. A pending release must
   * not free the session after this run has claimed it again under the same epoch.
   */
  async #free(run: Run, key: string, epoch: number): Promise<void> {
    const { engine, random } = this.#deps;
    for (let tries = 1; ; tries++) {
      try {
        await engine.release(run.boot, key, epoch);
        return;
      } catch (error) {
        if (this.#acting() !== run) throw error;
      }
      await this.#wait(backoffDelay(tries + 1, REJOIN, random)).over;
    }
  }

  /** Ends the run: first its processes, then its ownership, if the database can be told. */
  #lose(run: Run, cause: CastellanError): void {
    if (this.#run !== run) return;
    this.#run = undefined;
    run.beat?.cancel();
    run.watch?.cancel();
    const draining = this.#phase === "draining";
    this.#apply("lost");
    this.#deps.warn(cause.message);
    const sessions = run.owned.size;
    publish("castellan:node:lose", () => ({ ...this.#facts(run.boot), error: cause, sessions }));
    this.#rejoining = this.#end(run, cause).then(() =>
      // A node that leaves is the last one to know what its run has written.
      draining ? this.#deps.restore?.().catch(() => {}) : this.#rejoin(),
    );
  }

  async #end(run: Run, cause: CastellanError): Promise<void> {
    await run.host.kill(cause);
    run.owned.clear();
    await this.#leave(run.boot).catch(() => {});
  }

  async #rejoin(): Promise<void> {
    for (let tries = 1; this.#phase === "lost"; tries++) {
      try {
        await this.#begin();
        return;
      } catch (error) {
        this.#refuse(CastellanError.is(error, "NODE_NAME_TAKEN") ? error : undefined);
        const { over, end } = this.#wait(backoffDelay(tries + 1, REJOIN, this.#deps.random));
        this.#stopRejoining = end;
        await over;
      }
    }
  }

  /** Remembers why the node cannot rejoin, and reports it once. */
  #refuse(error: CastellanError | undefined): void {
    if (error !== undefined && this.#refusal === undefined) this.#deps.warn(error.message);
    this.#refusal = error;
  }

  #wait(ms: number): { readonly over: Promise<void>; readonly end: () => void } {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = this.#deps.clock.schedule(ms, resolve, { background: true });
    const end = (): void => {
      timer.cancel();
      resolve();
    };
    return { over: promise, end };
  }

  async #drain(deadlineMs: number): Promise<void> {
    const { engine } = this.#deps;
    this.#apply("drain");
    this.#unlisten();
    this.#stopRejoining?.();
    await this.#rejoining;
    const run = this.#run;
    if (run !== undefined) {
      // Tells other nodes to send nothing more here.
      await engine.renew(run.boot, stateOf(run, true, engine.skew)).catch(() => {});
      await Promise.all(run.claims.values()).catch(() => {});
      await Promise.allSettled(run.owned.keys.map((key) => this.release(key, deadlineMs)));
      await this.#rejoining;
    }
    if (run !== undefined) await this.#catchUpLast(run);
    if (run !== undefined && this.#run === run) {
      run.beat?.cancel();
      run.watch?.cancel();
      this.#run = undefined;
      await run.host.stop();
      await this.#leave(run.boot).catch(() => {});
      publish("castellan:node:leave", () => this.#facts(run.boot));
    }
    await this.#rejoining;
    this.#apply("left");
  }

  #facts(boot: string): NodeFacts {
    return { node: this.#settings.description.name, boot };
  }

  #apply(event: NodePhaseEvent): void {
    this.#phase = nextNodePhase(this.#phase, event);
  }

  #expired(): CastellanError<"NOT_OWNER"> {
    const { description, staleMs, marginMs } = this.#settings;
    const span = formatDuration(staleMs - marginMs);
    const message = `Node ${description.name} could not renew its lease for ${span}, so other nodes may take its sessions. It ends their processes, and rejoins once ${this.#deps.engine.location} answers.`;
    return new CastellanError("NOT_OWNER", message);
  }

  #givenUp(): CastellanError<"NOT_OWNER"> {
    const { name } = this.#settings.description;
    const message = `Node ${name} was declared dead by another node. It ends the processes of its sessions and rejoins.`;
    return new CastellanError("NOT_OWNER", message);
  }
}

function stateOf(
  { host: { load, busy, report }, owned }: Run,
  draining: boolean,
  skew: ClockSkew | undefined,
): NodeState {
  const { size: sessions, families } = owned;
  const clock = skew && { clockAheadMs: Math.round(skew.aheadMs) };
  return {
    ...{ load, draining },
    ...(report !== undefined && { report: { sessions, ...report, ...clock } }),
    ...(sessions > 0 && { families }),
    ...(busy !== undefined && { busy }),
  };
}

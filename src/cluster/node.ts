import type { Clock, Timer } from "../clock.ts";
import { formatDuration } from "../duration.ts";
import { CastellanError } from "../errors.ts";
import { type NodeFacts, tell } from "../events.ts";
import { nameOfKey } from "../names.ts";
import { NOTHING_REMOVED, type Removed } from "../session/persistence/erasure.ts";
import { backoffDelay } from "../supervision/backoff.ts";
import { leaseLeftMs, type Moment, momentOf } from "./lease.ts";
import { type NodePhase, type NodePhaseEvent, nextNodePhase } from "./node-phase.ts";
import { OwnedEpochs } from "./owned-epochs.ts";
import { covers, placed } from "./placement.ts";
import type { Engine, NodeDescription, SessionOwnership } from "./protocol/engine.ts";
import type { HostedSession, SessionHost } from "./session-host.ts";

/** How a node is to behave. Spans are in milliseconds. */
export interface NodeSettings {
  readonly description: Omit<NodeDescription, "boot" | "staleMs">;
  /** How often it says that it lives. */
  readonly beatMs: number;
  /** After how long without a word others may take its sessions. */
  readonly staleMs: number;
  /** How long before that it ends its own processes, if it cannot say that it lives. */
  readonly marginMs: number;
  /** Canonical names of sessions that are to live on some node at all times. */
  readonly wanted: readonly string[];
}

export interface NodeDeps {
  readonly engine: Engine;
  readonly clock: Clock;
  readonly newId: () => string;
  /** A number from 0 to below 1, for jitter. */
  readonly random: () => number;
  /**
   * Opens the host of the sessions that this run of the node will own. The host calls `lost` if it finds out that the run owns
   * nothing any more; `acts` tells whether the run may act as an owner at this moment, as far as the node knows.
   */
  openHost(
    boot: string,
    owned: OwnedEpochs,
    lost: (cause: CastellanError) => void,
    acts: () => boolean,
  ): Promise<SessionHost>;
  /**
   * Tells the database once more what it lacks of what earlier runs of the node have written, before anybody goes on with their
   * sessions. `but` is the run that goes on.
   */
  restore?(but?: string): Promise<void>;
  /** Something that its owner may want to know. */
  warn(message: string): void;
}

/** Whether a node has a session, and where else it is, as far as it knows. */
export type FoundSession =
  | { readonly owned: true; readonly session: HostedSession; readonly boot: string }
  | { readonly owned: false; readonly owner?: SessionOwnership | undefined };

/** One run of a node, from its joining until it is given up for dead, or leaves. */
interface Run {
  readonly boot: string;
  readonly owned: OwnedEpochs;
  readonly host: SessionHost;
  /** When the last renewal that succeeded was sent. */
  sent: Moment;
  readonly claims: Map<string, Promise<FoundSession>>;
  /** Sessions that may be its own without its knowing, because nobody has answered its claim. */
  readonly doubtful: Set<string>;
  /** Sessions that are being given up. */
  readonly releasing: Map<string, Promise<void>>;
  beat?: Timer;
  watch?: Timer;
  looking: boolean;
  /** In which era the database has all that the run has written. */
  era: number | undefined;
  catchingUp: boolean;
}

/** A node that cannot join, or give something up, tries again after 200 ms, then after longer, up to two seconds. */
const REJOIN = { base: 200, factor: 2, max: 2_000, jitter: 0.2 };

/** How often it is looked whether the run may go on: no timer counts the time for which the machine was suspended. */
const MOST_UNWATCHED_MS = 200;

/** How many sessions without an owner are looked at in one go. */
const MOST_UNATTENDED = 256;

/**
 * A machine among several: it says that it lives, owns sessions as long as it does, and takes those that nobody owns any more.
 *
 * It acts as an owner only while it knows that nobody can have taken its sessions. When it cannot know that any more, it ends all
 * their processes, and comes back as another run that owns nothing.
 */
export class ClusterNode {
  readonly #settings: NodeSettings;
  readonly #deps: NodeDeps;
  #phase: NodePhase = "joining";
  #run: Run | undefined;
  /** The end of the run that was lost, and the begin of the next one. */
  #rejoining: Promise<void> = Promise.resolve();
  #draining: Promise<void> | undefined;
  /** The era of the database as it was last heard of, by whichever run. */
  #era: number | undefined;
  #unlisten: () => void = () => {};
  #stopRejoining: (() => void) | undefined;

  private constructor(settings: NodeSettings, deps: NodeDeps) {
    this.#settings = settings;
    this.#deps = deps;
  }

  /** Joins. @throws CastellanError `DATABASE_UNAVAILABLE`, `JOURNAL_UNAVAILABLE`; then nothing is left behind */
  static async join(settings: NodeSettings, deps: NodeDeps): Promise<ClusterNode> {
    const node = new ClusterNode(settings, deps);
    await node.#begin();
    node.#unlisten = deps.engine.listen(() => void node.#look());
    return node;
  }

  get phase(): NodePhase {
    return this.#phase;
  }

  /** Of the run that goes on, if one does. */
  get boot(): string | undefined {
    return this.#run?.boot;
  }

  /** How many sessions it owns. */
  get owned(): number {
    return this.#run?.owned.keys.length ?? 0;
  }

  /** Whether it knows what the session of this name is to be. */
  covers(key: string): boolean {
    return covers(this.#settings.description.hosts, key);
  }

  /**
   * The session of this name, if it is this node's; with `claim`, also if it can be made so.
   *
   * @throws CastellanError `DATABASE_UNAVAILABLE` if that cannot be found out; what `SessionHost.session` throws
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

  /** The global pool of this name, if this node hosts it: it has members on every node, and no owner. */
  pool(name: string): FoundSession | undefined {
    const run = this.#run;
    const session = run?.host.pool(name);
    return run === undefined || session === undefined ? undefined : { owned: true, session, boot: run.boot };
  }

  /**
   * Gives a session up, after its running turn has ended, or at the deadline. Resolves when nothing of it runs here and it is
   * another's to claim; at once if it is not this node's.
   */
  async release(key: string, deadlineMs: number): Promise<void> {
    const run = this.#acting();
    if (run === undefined || run.owned.epochOf(key) === undefined) return;
    const present = run.releasing.get(key) ?? this.#release(run, key, deadlineMs);
    run.releasing.set(key, present);
    await present.finally(() => run.releasing.delete(key));
  }

  /**
   * Removes what this machine has kept of conversations of a session that another node has by now; nothing of one that is this
   * node's, which is erased as a whole.
   *
   * @throws CastellanError `ERASURE_INCOMPLETE`
   */
  async eraseFiles(key: string, conversations: readonly string[], memory: boolean): Promise<Removed> {
    const run = this.#acting();
    if (run === undefined || run.owned.epochOf(key) !== undefined || !this.covers(key)) return NOTHING_REMOVED;
    return await run.host.eraseFiles(nameOfKey(key), conversations, memory);
  }

  /**
   * Takes no more sessions, gives up those that it has, as {@link ClusterNode.release}, and leaves. A second call waits for the
   * same end.
   */
  drain(deadlineMs: number): Promise<void> {
    this.#draining ??= this.#drain(deadlineMs);
    return this.#draining;
  }

  async #begin(): Promise<void> {
    const { engine, newId, clock, openHost } = this.#deps;
    const boot = newId();
    const { description, staleMs } = this.#settings;
    await this.#deps.restore?.();
    const sent = momentOf(clock);
    await engine.join({ ...description, boot, staleMs });
    const owned = new OwnedEpochs();
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
      await engine.leave(boot).catch(() => {});
      throw error;
    }
    this.#run = run;
    this.#apply("joined");
    tell("castellan:node:join", () => this.#facts(boot));
    this.#tellHistory(run);
    this.#scheduleBeat(run);
    this.#watchLease(run);
    // What it was told while the host was opened.
    if (lost !== undefined) this.#lose(run, lost);
    else if (this.#phase === "member") void this.#look();
  }

  /** The run, if it may act as the owner of what it owns at this moment. */
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
    const state = { load: run.host.load, draining: this.#phase === "draining" };
    const answer = await engine.renew(run.boot, state).catch(() => undefined);
    if (this.#run !== run) return;
    if (answer === false) return this.#lose(run, this.#givenUp());
    // An answer that took too long is worth what its question was.
    if (answer === true) run.sent = sent;
    if (this.#acting() !== run) return;
    this.#scheduleBeat(run);
    this.#tellHistory(run);
    if (engine.era !== run.era) await this.#catchUp(run);
    await this.#look();
  }

  /** Told once of each era that begins while the node lives. */
  #tellHistory({ boot }: Run): void {
    const { era } = this.#deps.engine;
    const before = this.#era;
    this.#era = era ?? before;
    if (era === undefined || before === undefined || era === before) return;
    tell("castellan:database:failover", () => ({ ...this.#facts(boot), era }));
  }

  /** What cannot be told the database any more has the run lost, see `SessionHost`. */
  async #catchUp(run: Run): Promise<void> {
    if (run.catchingUp) return;
    run.catchingUp = true;
    try {
      const { era } = this.#deps.engine;
      await this.#deps.restore?.(run.boot);
      await run.host.catchUp?.();
      await this.#deps.engine.caughtUp?.(run.boot);
      run.era = era;
    } catch {
      // The next beat tries again.
    } finally {
      run.catchingUp = false;
    }
  }

  /** Ends the run in time, also if the beats hang. */
  #watchLease(run: Run): void {
    const look = (): void => {
      if (this.#acting() === run) this.#watchLease(run);
    };
    const ms = Math.max(1, Math.min(MOST_UNWATCHED_MS, this.#leftMs(run)));
    run.watch = this.#deps.clock.schedule(ms, look, { background: true });
  }

  /** Takes sessions that want an owner and have none, if it is the one that should. */
  async #look(): Promise<void> {
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
        const node = placed(nodes, key);
        // Each that is placed is one more that the node will have to carry.
        if (node !== undefined) Object.assign(node, { load: node.load + 1 });
        return node?.boot === run.boot;
      });
      await Promise.all(mine.map((key) => this.find(key, true).catch(() => {})));
    } catch {
      // The next beat looks again.
    } finally {
      run.looking = false;
    }
  }

  async #claim(run: Run, key: string): Promise<FoundSession> {
    run.doubtful.add(key);
    const claim = await this.#deps.engine.claim(run.boot, key);
    run.doubtful.delete(key);
    if (!claim.taken) return { owned: false, owner: claim.owner };
    // It may have taken so long that the session is another's again; then its epoch is, too.
    if (this.#acting() !== run || this.#phase !== "member") {
      if (this.#run === run) await this.#deps.engine.release(run.boot, key, claim.epoch).catch(() => {});
      return { owned: false };
    }
    run.owned.take(key, claim.epoch);
    try {
      const found = this.#found(run, key);
      tell("castellan:global:claim", () => ({ ...this.#facts(run.boot), session: nameOfKey(key), epoch: claim.epoch }));
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
    tell("castellan:global:release", () => ({ ...this.#facts(run.boot), session: nameOfKey(key), epoch }));
    await this.#free(run, key, epoch);
  }

  /**
   * Gives a session up until that is confirmed, or the run is lost: a release that is still on its way must not free the session
   * once this run has taken it again under the same epoch.
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

  /** Ends the run: its processes first, and then, if it can still be said, its ownership. */
  #lose(run: Run, cause: CastellanError): void {
    if (this.#run !== run) return;
    this.#run = undefined;
    run.beat?.cancel();
    run.watch?.cancel();
    const draining = this.#phase === "draining";
    this.#apply("lost");
    this.#deps.warn(cause.message);
    const sessions = run.owned.keys.length;
    tell("castellan:node:lose", () => ({ ...this.#facts(run.boot), error: cause, sessions }));
    this.#rejoining = this.#end(run, cause).then(() => (draining ? undefined : this.#rejoin()));
  }

  async #end(run: Run, cause: CastellanError): Promise<void> {
    await run.host.kill(cause);
    run.owned.clear();
    await this.#deps.engine.leave(run.boot).catch(() => {});
  }

  async #rejoin(): Promise<void> {
    for (let tries = 1; this.#phase === "lost"; tries++) {
      try {
        await this.#begin();
        return;
      } catch {
        const { over, end } = this.#wait(backoffDelay(tries + 1, REJOIN, this.#deps.random));
        this.#stopRejoining = end;
        await over;
      }
    }
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
      // So that nobody sends it more, and waits for what it is about to give up.
      await engine.renew(run.boot, { load: run.host.load, draining: true }).catch(() => {});
      await Promise.all(run.claims.values()).catch(() => {});
      await Promise.allSettled(run.owned.keys.map((key) => this.release(key, deadlineMs)));
      await this.#rejoining;
    }
    if (run !== undefined && this.#run === run) {
      run.beat?.cancel();
      run.watch?.cancel();
      this.#run = undefined;
      await run.host.stop();
      await engine.leave(run.boot).catch(() => {});
      tell("castellan:node:leave", () => this.#facts(run.boot));
    }
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
    const message = `Node ${description.name} could not say for ${span} that it lives, so that others may take its sessions: their processes here are ended. It goes on as soon as ${this.#deps.engine.location} answers.`;
    return new CastellanError("NOT_OWNER", message);
  }

  #givenUp(): CastellanError<"NOT_OWNER"> {
    const { name } = this.#settings.description;
    const message = `Node ${name} was given up for dead by the others: the processes of its sessions here are ended, and it joins anew.`;
    return new CastellanError("NOT_OWNER", message);
  }
}

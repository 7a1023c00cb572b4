import type { Spares } from "../../capacity/spares.ts";
import { endOrphans } from "../../claude/process-tree.ts";
import { type Clock, systemClock } from "../../clock.ts";
import { withDeadline } from "../../deadline.ts";
import { formatDuration } from "../../duration.ts";
import { CastellanError, type ExitRecord, isStorageFault } from "../../errors.ts";
import { formatName } from "../../names.ts";
import type { SessionServer } from "../../session/session-server.ts";
import {
  type ChildPlan,
  type FamilyPlan,
  familiesOf,
  isFamily,
  type SessionPlan,
  sessionsOf,
} from "../options/child-options.ts";
import type { SupervisorSettings } from "../options/supervisor-options.ts";
import { Branch, type BranchDeps } from "./branch.ts";
import { ChildListener, type ListenerDeps } from "./child-listener.ts";
import { startError } from "./child-report.ts";
import { ChildStarts } from "./child-starts.ts";
import { Pools } from "./pools.ts";
import type { Member, SessionTable } from "./session-table.ts";
import type { NotStarted, SupervisorEnd } from "./supervisor-reports.ts";
import { Templates } from "./templates.ts";

/** How long a start is waited for that neither succeeds nor is given up. A handshake may take a minute. */
const START_MS = 90_000;

export interface TreeDeps {
  readonly clock: Clock;
  readonly random: () => number;
  readonly newId: () => string;
  readonly sessions: SessionTable;
  readonly spares: Spares;
  /** The name of the supervisor. */
  readonly supervisor: string;
  /** Throws if no session may begin any more. */
  refuseIfEnding(): void;
}

/**
 * The tree of a supervisor: its branches, and what happens in them. It keeps the sessions' own view of their life in step
 * with what the supervisors of the tree do.
 */
export class Tree {
  readonly root: Branch;
  readonly templates: Templates;
  readonly pools: Pools;
  readonly #settings: SupervisorSettings;
  readonly #clock: Clock;
  readonly #sessions: SessionTable;
  readonly #starts: ChildStarts;
  readonly #listening: ListenerDeps;
  /** Settles when the tree has been started: a session can be found, and ended, before all are begun. */
  #opening: Promise<unknown> = Promise.resolve();
  #end: SupervisorEnd = { reason: "stopped" };

  constructor(settings: SupervisorSettings, plans: readonly ChildPlan[], deps: TreeDeps) {
    const { clock, random, sessions, spares, supervisor } = deps;
    this.#settings = settings;
    this.#clock = clock;
    this.#sessions = sessions;
    const listener: BranchDeps["listener"] = (...child) => {
      const one = new ChildListener(...child, this.#listening);
      return (event) => one.take(event);
    };
    this.root = new Branch(settings.tree, plans, { clock, random, sessions, listener });
    this.#starts = new ChildStarts(this.root, clock);
    this.templates = new Templates({
      clock,
      sessions,
      spares,
      supervisor,
      opened: () => this.opened(),
      unfinished: (keyPrefix) => sessions.unfinished(keyPrefix),
      refuseIfEnding: () => deps.refuseIfEnding(),
    });
    const terminate = (server: SessionServer): Promise<void> => this.terminate(server);
    this.pools = new Pools({ clock, random, newId: deps.newId, sessions, spares, supervisor, terminate });
    this.#listening = {
      clock,
      sessions,
      pools: this.pools,
      starts: this.#starts,
      logger: settings.logger,
      membersOf: (plan) => this.membersOf(plan),
      deletePlan: (branch, plan) => this.deletePlan(branch, plan),
      onEnd: (branch, end) => {
        if (branch === this.root) this.#end = end;
      },
    };
  }

  /** Why the tree ended, if it ended by itself. */
  get end(): SupervisorEnd {
    return this.#end;
  }

  /**
   * Takes all names, then starts all children. Resolves with the children that did not start, or with the first of them if the
   * options say that all have to. Rejects with what ended the tree, if it escalated meanwhile.
   */
  async open(prepare: () => Promise<void>): Promise<readonly NotStarted[]> {
    const members = this.#register(this.root.sessions);
    try {
      for (const { plan, branch } of this.root.families) this.#addFamily(plan, branch);
      this.#opening = this.#start(members, prepare);
      await this.#opening;
      await this.#beginFamilies(this.root.families.map(({ plan }) => plan));
    } catch (error) {
      for (const { server } of members) {
        server.close("supervisor");
        this.#sessions.release(server);
      }
      this.templates.close();
      this.pools.close();
      throw startRefusal(error);
    }
    const early = this.#settings.onStartFailure === "throw";
    const sessions = [...members, ...this.pools.members].map((member) => this.failures([member]));
    const failures = await collected([...sessions, this.#starts.failures(early, START_MS)], early);
    if (this.#end.reason === "max_restarts") throw startRefusal((await this.root.tree?.exited)?.cause);
    return failures;
  }

  /** Whether the tree has been started. */
  get isOpen(): boolean {
    return this.root.tree !== undefined;
  }

  /** Resolves when the tree has started. Rejects if its start failed. */
  async opened(): Promise<void> {
    if (this.root.tree === undefined) await this.#opening;
  }

  /** The sessions among `members` that do not start, and why. */
  async failures(members: readonly Member[]): Promise<NotStarted[]> {
    const failures = members.map(async ({ server }) => {
      const error = await this.failure(server);
      return error === undefined ? [] : [{ name: server.settings.name, error }];
    });
    return (await Promise.all(failures)).flat();
  }

  /** Why a session does not start; `undefined` as soon as it runs. The wait for a session that keeps trying is bounded. */
  async failure(server: SessionServer): Promise<CastellanError | undefined> {
    const clock = this.#clock;
    const refused = server.settled().then(() => server.refusal());
    return await withDeadline(clock, START_MS, refused, () => {
      const exit: ExitRecord = {
        class: "crash",
        message: `it is still starting after ${formatDuration(START_MS)}`,
        at: clock.now(),
      };
      const last = server.status().lastExit ?? exit;
      const message = `session ${formatName(server.settings.name)}: ${exit.message}; the last start: ${last.message}.`;
      return new CastellanError("START_FAILED", message, { details: { exit: last } });
    });
  }

  /**
   * Adds a child and starts it, with the conversation that it had before, if any, or with the one of `source`. A session whose start
   * fails is removed again; sessions below a supervisor that is added are quarantined.
   */
  async add(branch: Branch, plan: ChildPlan, source?: SessionServer): Promise<Member[]> {
    const members = this.#register(sessionsOf([plan]));
    await this.#startChild(branch, plan, members, source);
    const [failure] = await this.failures(members);
    if (failure === undefined || plan.kind !== "session") return members;
    for (const { server } of members) await this.terminate(server);
    throw removed(failure);
  }

  /**
   * Ends a session and resolves when its process is gone, also if the whole tree ends meanwhile.
   *
   * @param last is called before the name is free
   * @param as `supervisor` keeps the turns that the session has accepted in the journal
   */
  async terminate(
    server: SessionServer,
    last: () => void = () => {},
    as: "session" | "supervisor" = "session",
  ): Promise<void> {
    const { key } = server.settings;
    server.close(as);
    if (this.root.tree === undefined) await this.opened().catch(ignore);
    const branch = this.root.branchOf(key);
    await branch?.opened();
    await branch?.tree?.terminateChild(key).catch(ignore);
    if (this.#sessions.holds(server)) last();
    // A second call may have waited for the same end, and the name may be another session's by now.
    if (!this.#sessions.release(server)) return;
    branch?.deletePlan(key);
    await branch?.tree?.deleteChild(key).catch(ignore);
  }

  /** Deletes the plan of a child that has ended, with all below it, and frees the names. */
  deletePlan(branch: Branch, plan: ChildPlan): void {
    for (const { server } of this.membersOf(plan)) this.#sessions.release(server);
    for (const family of familiesOf([plan])) this.#families(family).remove(family.id);
    branch.deletePlan(plan.id);
  }

  /** The sessions of a child, and of all children below it. */
  membersOf(plan: ChildPlan): Member[] {
    return sessionsOf([plan]).flatMap(({ id }) => this.#sessions.ofChild(id) ?? []);
  }

  /** Makes a call to the supervisor at the root, once that has started. */
  async inRoot(call: (tree: NonNullable<Branch["tree"]>) => Promise<unknown>): Promise<void> {
    if (this.root.tree === undefined) await this.opened();
    if (this.root.tree !== undefined) await call(this.root.tree);
  }

  async #start(members: readonly Member[], prepare: () => Promise<void>): Promise<void> {
    await prepare();
    // Processes that a dead host left behind may still write to a conversation that is about to be resumed. A search that fails
    // is repeated at the next start, and keeps nobody from starting.
    await endOrphans(systemClock).catch(ignore);
    for (const { server, error } of await this.#sessions.restore(members)) {
      // A session that cannot go on with what the journal has of it fails alone.
      if (!isOfOneSession(error)) throw error;
      server.failRestore(error);
    }
    await this.root.start();
  }

  /** Takes the names of a template or a pool. */
  #addFamily(plan: FamilyPlan, branch: Branch): void {
    if (plan.kind === "template") this.templates.add(plan, branch);
    else this.pools.add(plan, branch);
  }

  /** The sessions of templates come up in their own time; those of pools have begun when this resolves. */
  async #beginFamilies(plans: readonly FamilyPlan[]): Promise<void> {
    for (const { kind, id } of plans) if (kind === "template") this.templates.takeUp(id);
    await Promise.all(plans.map(({ kind, id }) => (kind === "pool" ? this.pools.begin(id) : undefined)));
  }

  #families({ kind }: FamilyPlan): Templates | Pools {
    return kind === "template" ? this.templates : this.pools;
  }

  /** All of them, or none. */
  #register(plans: readonly SessionPlan[]): Member[] {
    const members: Member[] = [];
    try {
      for (const { settings } of plans) members.push(this.#sessions.add(settings));
    } catch (error) {
      for (const { server } of members) this.#sessions.release(server);
      throw error;
    }
    return members;
  }

  async #startChild(
    branch: Branch,
    plan: ChildPlan,
    members: readonly Member[],
    source: SessionServer | undefined,
  ): Promise<void> {
    try {
      if (this.root.tree === undefined) await this.opened();
      const [failed] = await this.#sessions.restore(members, source);
      if (failed !== undefined) throw failed.error;
      // Its names are taken first, so that nothing is added if they are others'.
      if (isFamily(plan)) this.#addFamily(plan, branch);
      await branch.add(plan);
      const below = plan.kind === "supervisor" ? (branch.below(plan.id)?.families ?? []) : [];
      for (const one of below) this.#addFamily(one.plan, one.branch);
      await this.#beginFamilies(isFamily(plan) ? [plan] : below.map((one) => one.plan));
    } catch (error) {
      const refusal = members[0]?.server.refusal();
      for (const { server } of members) {
        // Its turns, if it had any, wait in the journal for a start that succeeds.
        server.close("supervisor");
        this.#sessions.release(server);
      }
      throw refusal ?? error;
    }
  }
}

/** The error of a start of the tree that failed. */
function startRefusal(error: unknown): unknown {
  const escalated = CastellanError.is(error, "SUPERVISOR_STOPPED");
  return escalated ? startError(`the supervisor has ended while it started: ${error.message}.`, error) : error;
}

/** All that `waits` find; with `early`, what the first of them finds. */
async function collected<Found>(
  waits: readonly Promise<readonly Found[]>[],
  early: boolean,
): Promise<readonly Found[]> {
  const all = Promise.all(waits).then((lists) => lists.flat());
  if (!early) return await all;
  const { promise, resolve } = Promise.withResolvers<readonly Found[]>();
  for (const wait of waits) void wait.then((found) => (found.length > 0 ? resolve(found) : undefined));
  return await Promise.race([promise, all]);
}

/** Whether the fault is in what the journal has of one session, and not in the journal as a whole. */
function isOfOneSession(error: CastellanError): boolean {
  return !isStorageFault(error) || error.details.reason === "damaged";
}

/** The error of a session that was removed again, without the advice for a session that exists. */
function removed({ name, error }: NotStarted): CastellanError {
  if (!CastellanError.is(error, "SESSION_QUARANTINED")) return error;
  const why = error.details.lastExits.at(-1)?.message ?? "unknown";
  const message = `session ${formatName(name)} did not come up and has been removed again: ${why}.`;
  return new CastellanError("SESSION_QUARANTINED", message, { details: error.details, cause: error });
}

/** For calls to a tree that may have ended, or deleted the child, by itself. */
function ignore(): void {}

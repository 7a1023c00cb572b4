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

/** How long to wait for a start that neither succeeds nor fails. A handshake may take a minute. */
const START_MS = 90_000;

export interface TreeDeps {
  readonly clock: Clock;
  readonly random: () => number;
  readonly newId: () => string;
  readonly sessions: SessionTable;
  readonly spares: Spares;
  /** The name of the supervisor. */
  readonly supervisor: string;
  /** Throws if no session may start any more. */
  refuseIfEnding(): void;
}

/** The tree of a supervisor. It keeps the sessions in step with what the supervisors of the tree do with them. */
export class Tree {
  readonly root: Branch;
  readonly templates: Templates;
  readonly pools: Pools;
  readonly #settings: SupervisorSettings;
  readonly #clock: Clock;
  readonly #sessions: SessionTable;
  readonly #starts: ChildStarts;
  readonly #listenerDeps: ListenerDeps;
  /** Settles once the tree has started. A session can be found, and terminated, before all children have started. */
  #opening: Promise<unknown> = Promise.resolve();
  #end: SupervisorEnd = { reason: "stopped" };
  /** The sessions that an earlier process of the application still has. They start once it has returned them. */
  readonly #lent = new Set<SessionServer>();
  /** Set while another process has the sessions: takes each new one there. */
  away: ((server: SessionServer) => void) | undefined;

  constructor(settings: SupervisorSettings, plans: readonly ChildPlan[], deps: TreeDeps) {
    const { clock, random, sessions, spares, supervisor } = deps;
    this.#settings = settings;
    this.#clock = clock;
    this.#sessions = sessions;
    const listener: BranchDeps["listener"] = (...child) => new ChildListener(...child, this.#listenerDeps);
    this.root = new Branch(settings.tree, plans, { clock, random, sessions, listener });
    this.#starts = new ChildStarts(this.root, clock);
    this.templates = new Templates({
      clock,
      sessions,
      spares,
      supervisor,
      opened: () => this.opened(),
      unfinished: (keyPrefix) => sessions.unfinished(keyPrefix),
      due: (keyPrefix, until) => sessions.journal.due(keyPrefix, until),
      refuseIfEnding: () => deps.refuseIfEnding(),
      away: () => this.away,
    });
    const terminate = (server: SessionServer): Promise<void> => this.terminate(server);
    this.pools = new Pools({ clock, random, newId: deps.newId, sessions, spares, supervisor, terminate });
    this.#listenerDeps = {
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

  /** Why the tree ended by itself; `stopped` if it did not. */
  get end(): SupervisorEnd {
    return this.#end;
  }

  /**
   * Takes all names, then starts all children. Resolves with the children that did not start; with `onStartFailure: "throw"`, at
   * the first failure. Rejects if the tree escalated in the meantime.
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
      throw treeStartError(error);
    }
    const early = this.#settings.onStartFailure === "throw";
    const sessions = [...members, ...this.pools.members].map((member) => this.failures([member]));
    const failures = await collectFailures([...sessions, this.#starts.failures(early, START_MS)], early);
    if (this.#end.reason === "max_restarts") throw treeStartError((await this.root.tree?.exited)?.cause);
    return failures;
  }

  /** Whether the tree has started. */
  get isOpen(): boolean {
    return this.root.tree !== undefined;
  }

  /** Resolves once the tree has started. Rejects if its start failed. */
  async opened(): Promise<void> {
    if (this.root.tree === undefined) await this.#opening;
  }

  /** Resolves with the members that fail to start. */
  async failures(members: readonly Member[]): Promise<NotStarted[]> {
    const started = members.filter(({ server }) => !this.#lent.has(server));
    const failures = started.map(async ({ server }) => {
      const error = await this.failure(server);
      return error === undefined ? [] : [{ name: server.settings.name, error }];
    });
    return (await Promise.all(failures)).flat();
  }

  /**
   * Resolves with the error of a session that fails to start, or with undefined once it runs. Waits a bounded time for a session
   * that keeps retrying.
   */
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
   * Adds a child and starts it, with its earlier conversation or that of `source`. Removes a session again if it fails to start;
   * sessions below an added supervisor are quarantined instead.
   */
  async add(branch: Branch, plan: ChildPlan, source?: SessionServer): Promise<Member[]> {
    const members = this.#register(sessionsOf([plan]));
    await this.#startChild(branch, plan, members, source);
    const [failure] = await this.failures(members);
    if (failure === undefined || plan.kind !== "session") return members;
    for (const { server } of members) await this.terminate(server);
    throw removedError(failure);
  }

  /**
   * Terminates a session. Resolves once its process is gone, even if the whole tree ends in the meantime.
   *
   * @param last called before the name is released
   * @param as `supervisor` keeps the session's accepted turns in the journal
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
    // A concurrent call may have terminated it, and another session may have the name by now.
    if (!this.#sessions.release(server)) return;
    branch?.deletePlan(key);
    await branch?.tree?.deleteChild(key).catch(ignore);
  }

  /** Deletes the plans of an ended child and of everything below it, and releases their names. */
  deletePlan(branch: Branch, plan: ChildPlan): void {
    for (const { server } of this.membersOf(plan)) this.#sessions.release(server);
    for (const family of familiesOf([plan])) this.#families(family).remove(family.id);
    branch.deletePlan(plan.id);
  }

  /** Returns the sessions of a child and of everything below it. */
  membersOf(plan: ChildPlan): Member[] {
    return sessionsOf([plan]).flatMap(({ id }) => this.#sessions.ofChild(id) ?? []);
  }

  /** Calls the root supervisor once the tree has started. */
  async inRoot(call: (tree: NonNullable<Branch["tree"]>) => Promise<unknown>): Promise<void> {
    if (this.root.tree === undefined) await this.opened();
    if (this.root.tree !== undefined) await call(this.root.tree);
  }

  async #start(members: readonly Member[], prepare: () => Promise<void>): Promise<void> {
    await prepare();
    // Processes of a dead host may still write to a conversation that is about to be resumed. A failed search does not prevent
    // the start; the next start repeats it.
    const ended = endOrphans(systemClock).catch(ignore);
    // An owner that has handed the journal over had ended them at its own start, and callers wait.
    if (this.#sessions.journal.handover?.wasOffered !== true) await ended;
    const lent = members.filter(({ key }) => this.#sessions.isLent(key));
    for (const member of lent) this.#awaitReturn(member);
    for (const { server, error } of await this.#sessions.restore(members.filter((one) => !lent.includes(one)))) {
      // A session that cannot be restored fails alone.
      if (!isOfOneSession(error)) throw error;
      server.failRestore(error);
    }
    await this.root.start();
  }

  /** Restores a session, and lets its process start, once an earlier process of the application has returned it. */
  #awaitReturn(member: Member): void {
    const { server } = member;
    this.#lent.add(server);
    const returned = this.#sessions.restore([member]).then(
      (failed) => {
        for (const { error } of failed) server.failRestore(error);
      },
      (error: unknown) => {
        if (CastellanError.is(error)) server.failRestore(error);
      },
    );
    server.awaitReturn(returned.finally(() => this.#lent.delete(server)));
  }

  /** Ends the process of a session that another process of the application has. Its name stays taken. */
  async endProcess({ settings: { key } }: SessionServer): Promise<void> {
    const branch = this.root.branchOf(key);
    await branch?.opened();
    await branch?.tree?.terminateChild(key).catch(ignore);
  }

  /** Starts sessions that have come back, in place of those that had been surrendered. */
  async revive(members: readonly Member[]): Promise<void> {
    for (const { server, key } of members) {
      const branch = this.root.branchOf(key);
      const plan = branch?.plan(key);
      await this.endProcess(server);
      if (!this.#sessions.release(server) || branch === undefined) continue;
      if (plan?.kind !== "session" || plan.pool !== undefined || this.templates.covers(server.settings.name)) {
        branch.deletePlan(key);
        await branch.tree?.deleteChild(key).catch(ignore);
        continue;
      }
      const member = this.#sessions.add(plan.settings);
      const [failed] = await this.#sessions.restore([member]);
      if (failed !== undefined) member.server.failRestore(failed.error);
      await branch.replace(plan).catch(ignore);
    }
    for (const { plan } of this.root.families) if (plan.kind === "template") this.templates.resumeUnfinished(plan.id);
  }

  /** Takes the names of a template or a pool. */
  #addFamily(plan: FamilyPlan, branch: Branch): void {
    if (plan.kind === "template") this.templates.add(plan, branch);
    else this.pools.add(plan, branch);
  }

  /** Starts families. Resolves once the members of pools have started; sessions of templates start in their own time. */
  async #beginFamilies(plans: readonly FamilyPlan[]): Promise<void> {
    for (const { kind, id } of plans) {
      if (kind !== "template") continue;
      this.templates.resumeUnfinished(id);
      this.templates.watchSchedules(id);
    }
    await Promise.all(plans.map(({ kind, id }) => (kind === "pool" ? this.pools.begin(id) : undefined)));
  }

  #families({ kind }: FamilyPlan): Templates | Pools {
    return kind === "template" ? this.templates : this.pools;
  }

  /** Takes the names of all sessions, or of none. */
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
      // Takes the names first, so that nothing is added if another child has them.
      if (isFamily(plan)) this.#addFamily(plan, branch);
      await branch.add(plan);
      const below = plan.kind === "supervisor" ? (branch.below(plan.id)?.families ?? []) : [];
      for (const one of below) this.#addFamily(one.plan, one.branch);
      await this.#beginFamilies(isFamily(plan) ? [plan] : below.map((one) => one.plan));
    } catch (error) {
      const refusal = members[0]?.server.refusal();
      for (const { server } of members) {
        // Its turns stay in the journal until a start succeeds.
        server.close("supervisor");
        this.#sessions.release(server);
      }
      throw refusal ?? error;
    }
  }
}

/** Returns the error of a failed start of the tree. */
function treeStartError(error: unknown): unknown {
  const escalated = CastellanError.is(error, "SUPERVISOR_STOPPED");
  return escalated ? startError(`the supervisor ended while it was starting: ${error.message}.`, error) : error;
}

/** Resolves with all failures; with `early`, with the first list that is not empty. */
async function collectFailures<Found>(
  waits: readonly Promise<readonly Found[]>[],
  early: boolean,
): Promise<readonly Found[]> {
  const all = Promise.all(waits).then((lists) => lists.flat());
  if (!early) return await all;
  const { promise, resolve } = Promise.withResolvers<readonly Found[]>();
  for (const wait of waits) void wait.then((found) => (found.length > 0 ? resolve(found) : undefined));
  return await Promise.race([promise, all]);
}

/** Whether an error concerns the record of one session rather than the whole journal. */
function isOfOneSession(error: CastellanError): boolean {
  return !isStorageFault(error) || error.details.reason === "damaged";
}

/** Returns the error of a session that was removed again, without the advice for a session that exists. */
function removedError({ name, error }: NotStarted): CastellanError {
  if (!CastellanError.is(error, "SESSION_QUARANTINED")) return error;
  const why = error.details.lastExits.at(-1)?.message ?? "unknown";
  const message = `session ${formatName(name)} did not start and has been removed again: ${why}.`;
  return new CastellanError("SESSION_QUARANTINED", message, { details: error.details, cause: error });
}

/** For calls to a tree that may have ended, or deleted the child, by itself. */
function ignore(): void {}

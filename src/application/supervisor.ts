import { randomUUID } from "node:crypto";
import { systemClock } from "../clock.ts";
import type { Cluster } from "../cluster/cluster.ts";
import type { GlobalSession } from "../cluster/global-session.ts";
import type { Duration } from "../duration.ts";
import type { SessionName } from "../names.ts";
import type { Pool, PoolTurnOptions } from "../pool/pool.ts";
import type { ConversationOptions } from "../session/controls.ts";
import { GLOBAL, type GlobalName, globalName, isGlobalName } from "../session/options/global-name.ts";
import type { SessionDefaults, SessionOptions } from "../session/options/options.ts";
import type { Prompt } from "../session/options/prompt.ts";
import type { EraseOptions, ErasureReport } from "../session/persistence/erasure.ts";
import type { ExportOptions } from "../session/persistence/session-export.ts";
import type { UsageOptions, UsageReport } from "../session/persistence/usage.ts";
import type { Session } from "../session/session.ts";
import type { SessionStatus } from "../session/status/session-status.ts";
import type { Reply } from "../session/streams/reply.ts";
import type { Turn } from "../session/streams/turn.ts";
import type { ChildCounts } from "../supervision/supervisor.ts";
import { ClusterMembership } from "./cluster-membership.ts";
import { clusterOf } from "./clusters.ts";
import { joined } from "./credentials-refresh.ts";
import type { HealthChecks, SupervisorHealth } from "./inspection/health.ts";
import type { SupervisorInspection } from "./inspection/inspection.ts";
import { LocalSupervisor, type SupervisorDeps } from "./local-supervisor.ts";
import { answerFrom, resolveRef, type SessionRef } from "./names/reference.ts";
import { type ChildOptions, childPlans } from "./options/child-options.ts";
import { type SupervisorOptions, supervisorSettings, withDefaults } from "./options/supervisor-options.ts";
import { type SignalOptions, stopOnSignals } from "./signals.ts";
import type {
  CapacityStatus,
  ChildSummary,
  CredentialsReport,
  DrainReport,
  NotStarted,
  ReconcileReport,
  SupervisorEnd,
} from "./tree/supervisor-reports.ts";

const SYSTEM: SupervisorDeps = { clock: systemClock, newId: randomUUID, random: Math.random };

/**
 * Starts sessions and keeps them running: a session whose process dies is started again with its conversation, its
 * options and its handshake; one that cannot be kept running is quarantined while the others go on.
 *
 * @example
 * await using supervisor = await Supervisor.start([{ name: "assistant" }, { name: "reviewer", maxTurns: 5 }]);
 * const { text } = await query("reviewer", "Review this function: …");
 */
export class Supervisor implements AsyncDisposable {
  readonly name: string;
  /** Resolves when the supervisor has ended and no process of it is left. Never rejects. */
  readonly closed: Promise<SupervisorEnd>;
  readonly #local: LocalSupervisor;
  /** Of a cluster, if it is a node. */
  readonly #membership: ClusterMembership | undefined;

  private constructor(local: LocalSupervisor, membership: ClusterMembership | undefined) {
    this.name = local.name;
    this.closed = local.closed;
    this.#local = local;
    this.#membership = membership;
  }

  /**
   * Starts a supervisor with these children, in order. A session counts as started when its start has begun: processes
   * come up side by side. The promise resolves when each of them is up or quarantined, in which case
   * {@link Supervisor.notStarted} says which and why; `onStartFailure: "throw"` has it reject instead.
   *
   * @throws CastellanError `INVALID_OPTIONS` with all that is wrong, `SESSION_ALREADY_STARTED`, `KEY_ALREADY_REGISTERED`,
   * `JOURNAL_IN_USE`, `JOURNAL_UNAVAILABLE` or, on a node, `DATABASE_UNAVAILABLE`, `CHILD_START_FAILED` with `onStartFailure: "throw"`, or if children escalate meanwhile;
   * in all cases nothing has been started, or it has been stopped again
   */
  static start(children: readonly ChildOptions[], options: SupervisorOptions = {}): Promise<Supervisor> {
    return Supervisor.startWith(children, options, SYSTEM);
  }

  /** @internal As {@link Supervisor.start}, with a clock, ids and chance of the caller's. */
  static async startWith(
    children: readonly ChildOptions[],
    options: SupervisorOptions,
    deps: SupervisorDeps,
  ): Promise<Supervisor> {
    const settings = supervisorSettings(options);
    const membership = ClusterMembership.of(children, settings);
    const plans = childPlans(membership?.local ?? children, settings);
    const local = await LocalSupervisor.start(settings, plans, deps, membership);
    try {
      await membership?.join(local.pools, deps);
    } catch (error) {
      await local.stop();
      throw error;
    }
    return new Supervisor(local, membership);
  }

  /** The cluster that it is a node of, if it is one. */
  get cluster(): Cluster | undefined {
    return this.#membership?.cluster;
  }

  /**
   * The children, of whatever kind and here or below, that did not come up when the supervisor was started, and why. They are
   * quarantined; a temporary one is gone. How they do now {@link Supervisor.health} says.
   */
  get notStarted(): readonly NotStarted[] {
    return this.#local.notStarted;
  }

  /** See {@link Session.query}, and {@link Pool.query} for the name of a pool. @throws CastellanError `SESSION_NOT_FOUND`, `SUPERVISOR_STOPPED` besides */
  async query<Structured = unknown>(
    session: SessionRef | GlobalName,
    prompt: Prompt,
    options: PoolTurnOptions<Structured> = {},
  ): Promise<Reply<Structured>> {
    if (isGlobalName(session)) return await this.#global(session).query(prompt, options);
    return await answerFrom(session, (one, own) => this.#local.ask(one, prompt, own), options);
  }

  /** See {@link Session.stream}, and {@link Pool.stream} for the name of a pool. @throws CastellanError `SESSION_NOT_FOUND`, `SUPERVISOR_STOPPED` besides */
  stream<Structured = unknown>(
    session: SessionRef | GlobalName,
    prompt: Prompt,
    options: PoolTurnOptions<Structured> = {},
  ): Turn<Structured> {
    if (isGlobalName(session)) return this.#global(session).stream(prompt, options);
    return this.#local.ask(resolveRef(session), prompt, options);
  }

  /**
   * The session of this name, here or in a supervisor below; a global one wherever it is.
   *
   * @throws CastellanError `SESSION_NOT_FOUND`, `SUPERVISOR_STOPPED`, `CLUSTER_UNAVAILABLE` if it is no node of a cluster
   */
  session(session: GlobalName): GlobalSession;
  session(session: SessionRef): Session;
  session(session: SessionRef | GlobalName): Session | GlobalSession {
    return isGlobalName(session) ? this.#global(session) : this.#local.session(session);
  }

  /**
   * The pool of this name, here or in a supervisor below.
   *
   * @throws CastellanError `POOL_NOT_FOUND`, `SUPERVISOR_STOPPED`
   */
  pool(name: string): Pool {
    return this.#local.pool(name);
  }

  /**
   * What is known of each session, here and below, in the order in which they were added. Sessions of a template are there from
   * the first time that they are named until they are let go.
   *
   * @param options.prefix only those whose names begin so: `"support"` or `["support", 42]`
   * @throws CastellanError `INVALID_OPTIONS` if the prefix is no name
   */
  listSessions(options: { readonly prefix?: SessionName } = {}): SessionStatus[] {
    return this.#local.listSessions(options);
  }

  /** How many sessions of the whole tree are in memory. */
  countSessions(): number {
    return this.#local.countSessions();
  }

  /**
   * Adds a session and waits until its process is up.
   *
   * @throws CastellanError `INVALID_OPTIONS`, `SESSION_ALREADY_STARTED`, `KEY_ALREADY_REGISTERED`, `MAX_CHILDREN`,
   * `SUPERVISOR_STOPPED`; `SESSION_QUARANTINED` with the exits if it did not come up, in which case it has been removed again;
   * `SESSION_STOPPED` if it was ended meanwhile
   */
  async startSession(options: SessionOptions): Promise<Session> {
    return await this.#local.startSession(options);
  }

  /**
   * Ends a session: its turns end with `SESSION_STOPPED`, its process is ended, its name is free. Resolves when the
   * process is gone. A session that is started under the same name goes on with its conversation, unless that is cleared
   * here: then nothing is kept of it but what it has spent, not the transcripts of any conversation that it has had.
   *
   * @throws CastellanError `SESSION_NOT_FOUND`, `SUPERVISOR_STOPPED`; with `clear` also `JOURNAL_UNAVAILABLE`, and `ERASURE_INCOMPLETE`
   * if something could not be removed, which {@link Supervisor.eraseSession} can be asked to do then
   */
  async terminateSession(session: SessionRef, options: ConversationOptions = {}): Promise<void> {
    await this.#local.terminateSession(session, options);
  }

  /**
   * Erases what is known of a session under its name, whether it runs, hibernates, has been let go by its template or quarantined, or
   * only the journal knows of it: turns, approvals, and of all conversations that it has had the transcripts and whatever else
   * Claude Code keeps of them. One that is there is ended first, as by {@link Supervisor.terminateSession}; whoever has the name next
   * begins empty. What it spent stays, under a name that is nobody's.
   *
   * Resolves when all of that is gone, from the files of a journal in SQLite also where it was no longer used; which takes as long as a
   * copy of the file. It can be called again, and side by side: what was cut off is finished by the next call.
   *
   * @param session a name, or a handle, which stands for its name; nobody needs to know it
   * @throws CastellanError `INVALID_OPTIONS`; `SESSION_ALREADY_STARTED` if another supervisor has the session; `ERASURE_INCOMPLETE` if
   * something cannot be removed, `JOURNAL_UNAVAILABLE`: then the journal still knows what there is to erase; `SUPERVISOR_STOPPED`; for
   * a global name also `CLUSTER_UNAVAILABLE`
   * @example
   * const { turns, files, left } = await supervisor.eraseSession(["support", userId]);
   */
  async eraseSession(session: SessionRef | GlobalName, options: EraseOptions = {}): Promise<ErasureReport> {
    this.#local.refuseIfStopped();
    const global = this.#globalNameOf(session);
    if (global !== undefined) return await this.#clusterOf(global).eraseSession(global, options);
    return await this.#local.eraseSession(session as SessionRef, options);
  }

  /**
   * All that {@link Supervisor.eraseSession} would erase of a session, and what it has spent, as lines of JSON, each with its line
   * feed; see {@link ExportedLine}. It is read while it is asked for. A session that runs goes on: what it says meanwhile may be in it, or not.
   *
   * Throws, while it is read, a CastellanError `INVALID_OPTIONS`, `SESSION_ALREADY_STARTED`, `JOURNAL_UNAVAILABLE` or `SUPERVISOR_STOPPED`.
   *
   * @example
   * await pipeline(supervisor.exportSession(["support", userId]), createWriteStream("export.jsonl"));
   */
  async *exportSession(
    session: SessionRef | GlobalName,
    options: ExportOptions = {},
  ): AsyncGenerator<string, void, undefined> {
    this.#local.refuseIfStopped();
    const global = this.#globalNameOf(session);
    if (global !== undefined) yield* this.#clusterOf(global).exportSession(global);
    else yield* this.#local.exportSession(session as SessionRef, options);
  }

  /**
   * Ends the process of a session, whatever it does, and starts another one with the conversation as it is, or with an
   * empty one. Turns that wait go on waiting. It also brings back a quarantined session.
   *
   * @throws CastellanError `SESSION_NOT_FOUND`, `SUPERVISOR_STOPPED`, `SESSION_QUARANTINED` if it does not come up
   */
  async restartSession(session: SessionRef, options: ConversationOptions = {}): Promise<void> {
    await this.#local.restartSession(session, options);
  }

  /** What is known of each child, in start order, as OTP's `which_children`. */
  whichChildren(): ChildSummary[] {
    return this.#local.children.which();
  }

  /** How many children there are, as OTP's `count_children`. A session is a worker. */
  countChildren(): ChildCounts {
    return this.#local.children.count();
  }

  /**
   * Adds a child at the end of the start order and starts it, as OTP's `start_child`. For a session it is
   * {@link Supervisor.startSession}.
   *
   * @throws CastellanError `CHILD_ALREADY_STARTED`, `CHILD_ALREADY_PRESENT`, `CHILD_START_FAILED`, `MAX_CHILDREN`,
   * `INVALID_OPTIONS`, `SESSION_ALREADY_STARTED`, `SUPERVISOR_STOPPED`
   */
  async startChild(child: ChildOptions): Promise<void> {
    await this.#local.startChild(child);
  }

  /**
   * Stops a child and keeps its spec, as OTP's `terminate_child`; a temporary one is forgotten. A session that is stopped
   * so takes no turns until {@link Supervisor.restartChild}; `terminateSession` also gives its name back.
   *
   * @param child a session by name or handle, another child by its name or id
   * @throws CastellanError `CHILD_NOT_FOUND`, `SUPERVISOR_STOPPED`
   */
  async terminateChild(child: SessionRef): Promise<void> {
    await this.#local.children.terminate(child);
  }

  /**
   * Starts a child that was stopped or quarantined, as OTP's `restart_child`.
   *
   * @throws CastellanError `CHILD_NOT_FOUND`, `CHILD_RUNNING`, `CHILD_RESTARTING`, `CHILD_START_FAILED`,
   * `SUPERVISOR_STOPPED`; `SESSION_QUARANTINED` for a session that does not come up
   */
  async restartChild(child: SessionRef): Promise<void> {
    await this.#local.children.restart(child);
  }

  /**
   * Forgets a child that does not run, as OTP's `delete_child`. Names of sessions are free from then on.
   *
   * @throws CastellanError `CHILD_NOT_FOUND`, `CHILD_RUNNING`, `CHILD_RESTARTING`, `SUPERVISOR_STOPPED`
   */
  async deleteChild(child: SessionRef): Promise<void> {
    await this.#local.children.delete(child);
  }

  /**
   * Makes the tree what `children` say, and touches only what differs: what is new is started, what is missing is ended,
   * a session whose options have changed takes them up, at once where it can and otherwise, when its turn is over, with
   * another process and its conversation. All others keep their processes. Calls are carried out one after the other.
   * Claude Code keeps the system prompt that a conversation began with: a changed one counts from `clear()` on. Changed options
   * of global children count when their sessions come to life the next time; which names there are cannot change.
   *
   * Functions in options are the same only if they are identical, so keep hooks and in-process MCP servers where they are
   * made once.
   *
   * @param children the whole tree, as given to {@link Supervisor.start}
   * @param options what else has changed
   * @param options.defaults the options of all sessions from now on, in place of the supervisor's `defaults`. Default: as they are
   * @throws CastellanError `INVALID_OPTIONS` with all that is wrong, in which case nothing has changed;
   * `SUPERVISOR_STOPPED`
   */
  async reconcile(
    children: readonly ChildOptions[],
    { defaults }: { readonly defaults?: SessionDefaults } = {},
  ): Promise<ReconcileReport> {
    this.#local.refuseIfEnding();
    const settings = defaults === undefined ? this.#local.settings : withDefaults(this.#local.settings, defaults);
    const globals = this.#membership?.revised(children, settings);
    const wanted = childPlans(globals?.local ?? children, settings);
    if (globals !== undefined) this.#membership?.take(globals, settings);
    return await this.#local.reconcile(wanted, settings);
  }

  /**
   * Gives each session, here and below, a process with the credentials that it would be started with now, if it has others: after
   * a key has been changed in the environment, and before the old one is revoked. A session that has nothing to do gets it at once,
   * any other one when it has; conversations go on. Sessions that are quarantined for their key come back, if it is another one by
   * now. Global sessions count that are on this node. Whether the API takes the new key is not asked; see {@link probe}.
   *
   * Without this call a session gets another process when the API refuses its key and that has changed.
   *
   * @param options how long it is waited
   * @param options.deadline for how long those that are at work are waited for; they get their process all the same. Default `"30s"`
   * @throws CastellanError `INVALID_OPTIONS`, `SUPERVISOR_STOPPED`
   * @example
   * process.env.ANTHROPIC_API_KEY = await newKey();
   * const { waiting, failed } = await supervisor.refreshCredentials({ deadline: "5m" });
   */
  async refreshCredentials(options: { readonly deadline?: Duration } = {}): Promise<CredentialsReport> {
    const [own, global] = await Promise.all([
      this.#local.refreshCredentials(options),
      this.#membership?.refreshCredentials(options),
    ]);
    return joined(own, global);
  }

  /**
   * How it does, and how its sessions do. Those that have a process are asked, which costs no tokens and takes ten seconds at the
   * most; those that hibernate are not woken.
   */
  async health(): Promise<SupervisorHealth> {
    return await this.#local.status.health();
  }

  /** Whether the application is worth keeping alive; see {@link HealthHandlers}. At once, and without asking anybody. */
  livez(): HealthChecks {
    return this.#local.status.livez();
  }

  /** Whether the application should be sent work; see {@link HealthHandlers}. At once, and without asking anybody. */
  readyz(): HealthChecks {
    return this.#local.status.readyz();
  }

  /** How many processes there are and turns run, how many sessions wait for either, and what came of spares. */
  capacity(): CapacityStatus {
    return this.#local.status.capacity();
  }

  /**
   * The tree at this moment, as data, without asking anybody: states, processes, exits, mailboxes, budgets, and where each option
   * came from. {@link formatInspection} makes a text of it.
   */
  inspect(): SupervisorInspection {
    return this.#local.inspect();
  }

  /**
   * What the sessions of this supervisor, by its name, have spent since it was first started, also those that have ended.
   * Supervisors without a name count together.
   * Where nothing was spent there is no report.
   *
   * @throws CastellanError `INVALID_OPTIONS`, `JOURNAL_UNAVAILABLE`, `SUPERVISOR_STOPPED`
   * @example
   * for (const { day, model, costUsd } of await supervisor.usage({ by: ["day", "model"] })) console.log(day, model, costUsd);
   */
  async usage(options: UsageOptions = {}): Promise<UsageReport[]> {
    return await this.#local.status.usage(options);
  }

  /**
   * Takes no more turns, lets those that have been accepted finish, and what goes on in the background with the turns that Claude Code
   * begins on it, and stops; at the deadline, with what is left.
   *
   * @param options.deadline default `"30s"`
   */
  async drain(options: { readonly deadline?: Duration } = {}): Promise<DrainReport> {
    return await this.#local.drain(options);
  }

  /**
   * Drains the supervisor when this process gets SIGTERM or SIGINT, and kills what is left at a second one. Then the
   * signal ends the process, as it would have without this.
   *
   * @returns takes it back
   */
  stopOnSignals(options: SignalOptions = {}): () => void {
    const unwire = stopOnSignals(this, options);
    void this.closed.then(unwire);
    return unwire;
  }

  /**
   * Ends all children, in reverse order, and the supervisor. Turns end at once; the promise resolves when no process is
   * left. A second call waits for the same end, and with `kill` makes it come at once.
   *
   * @param options how it ends
   * @param options.kill whether processes are killed instead of asked to end. Default `false`
   */
  async stop(options: { readonly kill?: boolean } = {}): Promise<void> {
    await this.#local.stop(options);
  }

  /** As {@link Supervisor.stop}, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  #global(name: GlobalName): GlobalSession {
    this.#local.refuseIfStopped();
    return this.#clusterOf(name).session(name);
  }

  #clusterOf(name: GlobalName): Cluster {
    return this.cluster ?? clusterOf(name);
  }

  /** The name as a global one, if it is one, also as lists of a cluster show it. */
  #globalNameOf(session: SessionRef | GlobalName): GlobalName | undefined {
    if (isGlobalName(session)) return session;
    const isShown = this.#membership !== undefined && Array.isArray(session) && session[0] === GLOBAL;
    return isShown ? globalName(session as SessionName) : undefined;
  }
}

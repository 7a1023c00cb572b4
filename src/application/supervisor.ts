import { randomUUID } from "node:crypto";
import { agentSdk } from "../agent-sdk.ts";
import { TurnLimiter } from "../capacity/turn-limiter.ts";
import { systemClock } from "../clock.ts";
import type { Cluster } from "../cluster/cluster.ts";
import type { GlobalSession } from "../cluster/global-session.ts";
import type { Duration } from "../duration.ts";
import type { SessionName } from "../names.ts";
import type { Pool } from "../pool/pool.ts";
import type { PoolStatus } from "../pool/pool-status.ts";
import type { PoolTurnOptions } from "../pool/pool-turn.ts";
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
import { clusterOf, presentCluster } from "./clusters.ts";
import { mergeReports } from "./credentials-refresh.ts";
import type { FindOptions, SessionInfo } from "./finding.ts";
import type { BudgetReport } from "./inspection/budgets.ts";
import type { EffectiveOptions } from "./inspection/effective-options.ts";
import type { HealthChecks, SupervisorHealth } from "./inspection/health.ts";
import type { SessionInspection, SupervisorInspection } from "./inspection/inspection.ts";
import type { StorageReport } from "./inspection/storage.ts";
import type { TemplateInfo } from "./inspection/template-info.ts";
import { LocalSupervisor } from "./local-supervisor.ts";
import { answerFrom, resolveRef, type SessionRef } from "./names/reference.ts";
import { type ChildOptions, childPlans } from "./options/child-options.ts";
import { type SupervisorOptions, supervisorSettings, withDefaults } from "./options/supervisor-options.ts";
import { type SignalOptions, stopOnSignals } from "./signals.ts";
import type { SupervisorDeps } from "./supervisor-deps.ts";
import { openWebhooks, SupervisorWebhooks } from "./supervisor-webhooks.ts";
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
 * Starts sessions and keeps them running. When a session's process dies, the supervisor restarts it with its conversation,
 * options and handshake. It quarantines a session that it cannot keep running, and the others go on.
 *
 * @example
 * await using supervisor = await Supervisor.start([{ name: "assistant" }, { name: "reviewer", maxTurns: 5 }]);
 * const { text } = await query("reviewer", "Review this function: …");
 */
export class Supervisor implements AsyncDisposable {
  readonly name: string;
  /** Resolves once the supervisor has ended and none of its processes is left. Never rejects. */
  readonly closed: Promise<SupervisorEnd>;
  /**
   * Resolves once the next process of the application has taken over the journal and all sessions, see
   * {@link StoredJournalOptions.waitForOwner}. Stop listening, and {@link Supervisor.drain} this supervisor: until then it
   * passes on what callers here ask. Never resolves if no process takes over.
   */
  readonly handedOver: Promise<void>;
  /** The endpoints of the option `webhooks`. */
  readonly webhooks: SupervisorWebhooks;
  readonly #local: LocalSupervisor;
  /** The membership in a cluster, if the supervisor is a node. */
  readonly #membership: ClusterMembership | undefined;

  private constructor(local: LocalSupervisor, membership: ClusterMembership | undefined, webhooks: SupervisorWebhooks) {
    this.webhooks = webhooks;
    this.name = local.name;
    this.closed = local.closed;
    this.handedOver = local.handedOver;
    this.#local = local;
    this.#membership = membership;
  }

  /** @internal The name in its events and in the journal, which all unnamed supervisors share. */
  get eventName(): string {
    return this.#local.journal.supervisor;
  }

  /**
   * Starts a supervisor with these children, in order. A session counts as started once its start has begun, so processes start
   * side by side. Resolves once each of them is ready or quarantined; {@link Supervisor.notStarted} lists the failures. Rejects
   * on a failure instead with `onStartFailure: "throw"`.
   *
   * @throws CastellanError `INVALID_OPTIONS` with all problems; `SESSION_ALREADY_STARTED`, `KEY_ALREADY_REGISTERED`,
   * `JOURNAL_IN_USE`, `JOURNAL_UNAVAILABLE`; on a node `DATABASE_UNAVAILABLE`, `NODE_NAME_TAKEN`; `CHILD_START_FAILED` with
   * `onStartFailure: "throw"`, or if children escalate. Whatever has started by then is stopped again
   */
  static start(children: readonly ChildOptions[], options: SupervisorOptions = {}): Promise<Supervisor> {
    return Supervisor.startWith(children, options, SYSTEM);
  }

  /** @internal Same as {@link Supervisor.start}, with the caller's clock, ids and random numbers. */
  static async startWith(
    children: readonly ChildOptions[],
    options: SupervisorOptions,
    deps: SupervisorDeps,
  ): Promise<Supervisor> {
    const settings = supervisorSettings(options);
    const membership = ClusterMembership.of(children, settings);
    const plans = childPlans(membership?.local ?? children, settings);
    // While the journal opens: at the first prompt it would block the event loop for longer than anything else.
    agentSdk().catch(() => {});
    const opening = openWebhooks(settings, deps);
    const turns = new TurnLimiter(settings.capacity.maxConcurrentTurns);
    const own = { ...deps, turns, ...(opening !== undefined && { webhooks: opening }) };
    const local = await LocalSupervisor.start(settings, plans, own, membership);
    try {
      await local.offer(async (needs) => {
        // Loaded on demand: only a journal that can change hands needs it.
        const { SupervisorHandover } = await import("./supervisor-handover.ts");
        return new SupervisorHandover(local, needs);
      });
      const webhooks = await opening;
      void local.closed.then(() => webhooks?.close());
      await membership?.join(local.pools, own, turns);
      return new Supervisor(local, membership, new SupervisorWebhooks(webhooks));
    } catch (error) {
      await local.stop();
      throw error;
    }
  }

  /** The cluster that the supervisor is a node of, else the one that this process is connected to, if any. */
  get cluster(): Cluster | undefined {
    return this.#membership?.cluster ?? presentCluster();
  }

  /** The name of the supervisor's own node; undefined if it is none. */
  get node(): string | undefined {
    return this.#membership?.node;
  }

  /**
   * The children, at any depth, that failed to start together with the supervisor. They are quarantined, or gone if they are
   * temporary. {@link Supervisor.health} reports their current state.
   */
  get notStarted(): readonly NotStarted[] {
    return this.#local.notStarted;
  }

  /**
   * See {@link Session.query}, or {@link Pool.query} for the name of a pool. @throws CastellanError additionally
   * `SESSION_NOT_FOUND`, `SUPERVISOR_STOPPED`
   */
  async query<Structured = unknown>(
    session: SessionRef | GlobalName,
    prompt: Prompt,
    options: PoolTurnOptions<Structured> = {},
  ): Promise<Reply<Structured>> {
    if (isGlobalName(session)) return await this.#global(session).query(prompt, options);
    return await answerFrom(session, (one, own) => this.#local.ask(one, prompt, own), options);
  }

  /**
   * See {@link Session.stream}, or {@link Pool.stream} for the name of a pool. @throws CastellanError additionally
   * `SESSION_NOT_FOUND`, `SUPERVISOR_STOPPED`
   */
  stream<Structured = unknown>(
    session: SessionRef | GlobalName,
    prompt: Prompt,
    options: PoolTurnOptions<Structured> = {},
  ): Turn<Structured> {
    if (isGlobalName(session)) return this.#global(session).stream(prompt, options);
    return this.#local.ask(resolveRef(session), prompt, options);
  }

  /**
   * Returns the session of this name, at any depth of the tree; a global session on any node.
   *
   * @throws CastellanError `SESSION_NOT_FOUND`, `SUPERVISOR_STOPPED`; `CLUSTER_UNAVAILABLE` for a global name if this process is
   * in no cluster
   */
  session(session: GlobalName): GlobalSession;
  session(session: SessionRef): Session;
  session(session: SessionRef | GlobalName): Session | GlobalSession {
    return isGlobalName(session) ? this.#global(session) : this.#local.session(session);
  }

  /**
   * Returns the pool of this name, at any depth of the tree.
   *
   * @throws CastellanError `POOL_NOT_FOUND`, `SUPERVISOR_STOPPED`
   */
  pool(name: string): Pool {
    return this.#local.pool(name);
  }

  /**
   * Returns the status of each session of the tree, in the order in which they were added. Sessions of a template are listed from
   * their first use until they are evicted.
   *
   * @param options.prefix only sessions whose names begin with it: `"support"` or `["support", 42]`
   * @throws CastellanError `INVALID_OPTIONS` if the prefix is no name
   */
  listSessions(options: { readonly prefix?: SessionName } = {}): SessionStatus[] {
    return this.#local.finding.list(options);
  }

  /**
   * Finds sessions by label, state and name, page by page: those of {@link Supervisor.listSessions}, and those that only the
   * journal knows, because their template has evicted them or they have ended. Returns them by name; archived ones only with
   * `state: "archived"`. A page takes the same time however many sessions there are, if it selects none or one label. Global
   * sessions are not among them, see `Cluster.findSessions`.
   *
   * @throws CastellanError `INVALID_OPTIONS`, `JOURNAL_UNAVAILABLE`, `SUPERVISOR_STOPPED`
   * @example
   * const own = await supervisor.findSessions({ prefix: "support", labels: { user: "ann" } });
   */
  async findSessions(options: FindOptions = {}): Promise<SessionInfo[]> {
    return await this.#local.finding.find(options);
  }

  /**
   * Returns the session of this name as {@link Supervisor.findSessions} does, archived or not; `undefined` if neither the tree nor
   * the journal knows it. Brings no session into memory, so it also tells whether a template's session has been used.
   *
   * @throws CastellanError `INVALID_OPTIONS`, `JOURNAL_UNAVAILABLE`, `SUPERVISOR_STOPPED`
   */
  async findSession(name: SessionName): Promise<SessionInfo | undefined> {
    return await this.#local.finding.one(name);
  }

  /** Returns the status of each pool of the tree, in the order in which they were added. */
  listPools(): PoolStatus[] {
    return this.#local.pools.statuses;
  }

  /** Returns the templates of the tree, at any depth. */
  templates(): TemplateInfo[] {
    return this.#local.templates();
  }

  /**
   * Returns the options of a session with their origins, as {@link Supervisor.inspect} shows them. The session of a
   * template need not exist. Undefined if there is no session of this name.
   *
   * @throws CastellanError `INVALID_OPTIONS`
   */
  optionsOf(session: SessionName): EffectiveOptions | undefined {
    return this.#local.optionsOf(session);
  }

  /** Returns the number of sessions of the tree in memory. */
  countSessions(): number {
    return this.#local.countSessions();
  }

  /**
   * Adds a session. Resolves once its process is ready.
   *
   * @throws CastellanError `INVALID_OPTIONS`, `SESSION_ALREADY_STARTED`, `KEY_ALREADY_REGISTERED`, `MAX_CHILDREN`,
   * `SUPERVISOR_STOPPED`; `SESSION_QUARANTINED` with the exits if it did not start, and was removed again; `SESSION_STOPPED` if
   * it was terminated in the meantime
   */
  async startSession(options: SessionOptions): Promise<Session> {
    return await this.#local.startSession(options);
  }

  /**
   * Terminates a session: its turns end with `SESSION_STOPPED`, its process ends, and its name becomes free. Resolves once the
   * process is gone. A later session of the same name resumes the conversation, unless this call clears it: then only the
   * spending is kept, and no transcript of any of its conversations.
   *
   * @throws CastellanError `SESSION_NOT_FOUND`, `SUPERVISOR_STOPPED`; with `clear` also `JOURNAL_UNAVAILABLE`, and
   * `ERASURE_INCOMPLETE` if something could not be removed; call {@link Supervisor.eraseSession} then
   */
  async terminateSession(session: SessionRef, options: ConversationOptions = {}): Promise<void> {
    await this.#local.terminateSession(session, options);
  }

  /**
   * Erases everything known of a session by its name: turns, approvals, and the transcripts and other files of Claude Code for
   * all its conversations. The session may run, hibernate, be evicted or quarantined, or exist only in the journal. An existing
   * session is terminated first, as by {@link Supervisor.terminateSession}; the next session of the name starts empty. The
   * spending stays, under an anonymous name.
   *
   * The name of a pool stands for all its members and for all its jobs, whether they wait, run, have ended or were cancelled. A single
   * job cannot be erased; the member that `pool.turns()` names can, with all jobs that it has had.
   *
   * Resolves once everything is gone, including from unused parts of a SQLite journal's files, which takes as long as copying the
   * file. Calls are idempotent and may overlap; the next call completes an interrupted one.
   *
   * @param session a name, or a handle for its name; the session need not exist
   * @throws CastellanError `INVALID_OPTIONS`; `SESSION_ALREADY_STARTED` if another supervisor has the session;
   * `ERASURE_INCOMPLETE` if something could not be removed, or `JOURNAL_UNAVAILABLE`: the journal then still knows what is left
   * to erase; `SUPERVISOR_STOPPED`; for a global name also `CLUSTER_UNAVAILABLE`
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
   * Exports what {@link Supervisor.eraseSession} would erase of a session, and its spending, as lines of JSON, each with its line
   * feed; see {@link ExportedLine}. Reads on demand. A running session goes on; the export may or may not contain what it says in
   * the meantime.
   *
   * The iteration throws a CastellanError `INVALID_OPTIONS`, `SESSION_ALREADY_STARTED`, `JOURNAL_UNAVAILABLE` or
   * `SUPERVISOR_STOPPED`.
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
   * Ends the process of a session, even during a turn, and starts another one with the same or an empty conversation. Queued
   * turns stay queued. Also brings back a quarantined session.
   *
   * @throws CastellanError `SESSION_NOT_FOUND`, `SUPERVISOR_STOPPED`, `SESSION_QUARANTINED` if it does not start
   */
  async restartSession(session: SessionRef, options: ConversationOptions = {}): Promise<void> {
    await this.#local.restartSession(session, options);
  }

  /** Returns a summary of each child, in start order, as OTP's `which_children`. */
  whichChildren(): ChildSummary[] {
    return this.#local.children.which();
  }

  /** Counts the children, as OTP's `count_children`. A session is a worker. */
  countChildren(): ChildCounts {
    return this.#local.children.count();
  }

  /**
   * Adds a child at the end of the start order and starts it, as OTP's `start_child`. For a session, same as
   * {@link Supervisor.startSession}.
   *
   * @throws CastellanError `CHILD_ALREADY_STARTED`, `CHILD_ALREADY_PRESENT`, `CHILD_START_FAILED`, `MAX_CHILDREN`,
   * `INVALID_OPTIONS`, `SESSION_ALREADY_STARTED`, `SUPERVISOR_STOPPED`
   */
  async startChild(child: ChildOptions): Promise<void> {
    await this.#local.startChild(child);
  }

  /**
   * Stops a child and keeps its spec, as OTP's `terminate_child`; a temporary child is deleted. A session stopped this way takes
   * no turns until {@link Supervisor.restartChild}; `terminateSession` also frees its name.
   *
   * @param child a session by name or handle, any other child by name or id
   * @throws CastellanError `CHILD_NOT_FOUND`, `SUPERVISOR_STOPPED`
   */
  async terminateChild(child: SessionRef): Promise<void> {
    await this.#local.children.terminate(child);
  }

  /**
   * Starts a stopped or quarantined child, as OTP's `restart_child`.
   *
   * @throws CastellanError `CHILD_NOT_FOUND`, `CHILD_RUNNING`, `CHILD_RESTARTING`, `CHILD_START_FAILED`, `SUPERVISOR_STOPPED`;
   * `SESSION_QUARANTINED` for a session that does not start
   */
  async restartChild(child: SessionRef): Promise<void> {
    await this.#local.children.restart(child);
  }

  /**
   * Deletes a child that does not run, as OTP's `delete_child`. Frees the names of its sessions.
   *
   * @throws CastellanError `CHILD_NOT_FOUND`, `CHILD_RUNNING`, `CHILD_RESTARTING`, `SUPERVISOR_STOPPED`
   */
  async deleteChild(child: SessionRef): Promise<void> {
    await this.#local.children.delete(child);
  }

  /**
   * Changes the tree to these children and touches only what differs: starts new children, terminates missing ones, and applies
   * changed options to sessions: live where possible, otherwise after the current turn, with another process and the same
   * conversation. All others keep their processes. Calls run one after the other. Claude Code keeps the system prompt with which
   * a conversation began: a changed one takes effect after `clear()`. Changed options of global children take effect when their
   * sessions next start; their names cannot change.
   *
   * Functions in options are equal only if they are identical, so create hooks and in-process MCP servers once.
   *
   * @param children the whole tree, as given to {@link Supervisor.start}
   * @param options other changes
   * @param options.defaults the new session options in place of the supervisor's `defaults`. Default: unchanged
   * @throws CastellanError `INVALID_OPTIONS` with all problems, and nothing has changed; `SUPERVISOR_STOPPED`
   */
  async reconcile(
    children: readonly ChildOptions[],
    { defaults }: { readonly defaults?: SessionDefaults } = {},
  ): Promise<ReconcileReport> {
    this.#local.refuseIfEnding();
    const settings = defaults === undefined ? this.#local.settings : withDefaults(this.#local.settings, defaults);
    const globals = this.#membership?.revise(children, settings);
    const wanted = childPlans(globals?.local ?? children, settings);
    if (globals !== undefined) this.#membership?.apply(globals, settings);
    return await this.#local.reconcile(wanted, settings);
  }

  /**
   * Replaces, at any depth of the tree, the processes whose credentials differ from those that a new process would get: call it
   * after a key has changed in the environment, and before the old key is revoked. An idle session is replaced at once, a busy
   * one when it becomes idle; conversations continue. Sessions that are quarantined for their key come back if the key has
   * changed. On a node, this includes its global sessions. The API is not asked whether it accepts the new key; see
   * {@link probe}.
   *
   * Without this call, a session gets another process when the API rejects its key and the key has changed.
   *
   * @param options how long to wait
   * @param options.deadline how long to wait for busy sessions, which are replaced later all the same. Default `"30s"`
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
    return mergeReports(own, global);
  }

  /**
   * Checks the health of the supervisor and its sessions. Asks each running process, which costs no tokens and takes up to ten
   * seconds; hibernated sessions are not woken.
   */
  async health(): Promise<SupervisorHealth> {
    return await this.#local.status.health();
  }

  /** Returns the liveness of the application without I/O; see {@link HealthHandlers}. */
  livez(): HealthChecks {
    return this.#local.status.livez();
  }

  /** Returns the readiness of the application without I/O; see {@link HealthHandlers}. */
  readyz(): HealthChecks {
    return this.#local.status.readyz();
  }

  /** Returns the number of processes and running turns, of sessions that wait for either, and the use of spares. */
  capacity(): CapacityStatus {
    return this.#local.status.capacity();
  }

  /**
   * Returns the whole tree as data, without I/O: states, processes, exits, mailboxes, budgets, and the origin of each option.
   * {@link formatInspection} formats it as text.
   */
  inspect(): SupervisorInspection {
    return this.#local.inspect();
  }

  /**
   * Returns what {@link Supervisor.inspect} shows of one session, at any depth; `undefined` if the supervisor does not have it in
   * memory. {@link Supervisor.optionsOf} also knows the options of a template's session that is not in memory.
   *
   * @throws CastellanError `INVALID_OPTIONS`
   */
  inspectSession(name: SessionName): SessionInspection | undefined {
    return this.#local.inspectSession(name);
  }

  /**
   * Reports the spending of the sessions of this supervisor, by its name, since its first start, including ended sessions.
   * Unnamed supervisors share one account. Sessions without spending have no report.
   *
   * @throws CastellanError `INVALID_OPTIONS`, `JOURNAL_UNAVAILABLE`, `SUPERVISOR_STOPPED`; with `global` `CLUSTER_UNAVAILABLE` while
   * the node has no lease
   * @example
   * for (const { day, model, costUsd } of await supervisor.usage({ by: ["day", "model"] })) console.log(day, model, costUsd);
   */
  async usage(options: UsageOptions = {}): Promise<UsageReport[]> {
    if (options.global !== true) return await this.#local.status.usage(options);
    this.#local.refuseIfStopped();
    return (await this.#membership?.usage(options)) ?? [];
  }

  /**
   * Asks the journal, and on a node the cluster's database: which release each is, how long its answer takes, and what is wrong with it.
   *
   * @throws CastellanError `SUPERVISOR_STOPPED`
   */
  async storage(): Promise<StorageReport> {
    const [journal, cluster] = await Promise.all([this.#local.store(), this.#membership?.store()]);
    return { journal, ...(cluster !== undefined && { cluster }) };
  }

  /**
   * Returns the budget of the supervisor, then those of its sessions in memory, the most used first. On a node, this includes
   * its global sessions.
   *
   * @example
   * const reached = supervisor.budgets().filter(({ spentUsd, limitUsd }) => spentUsd >= limitUsd);
   */
  budgets(): BudgetReport[] {
    return [...this.#local.status.budgets(), ...(this.#membership?.budgets() ?? [])];
  }

  /**
   * Takes no more turns, waits for accepted turns, background tasks and the turns that Claude Code begins for them, and stops; at
   * the deadline, stops regardless.
   *
   * @param options.deadline default `"30s"`
   */
  async drain(options: { readonly deadline?: Duration } = {}): Promise<DrainReport> {
    return await this.#local.drain(options);
  }

  /**
   * Drains the supervisor when this process gets SIGTERM or SIGINT, and kills it at a second signal. Then the signal ends the
   * process as usual.
   *
   * @returns a function that undoes it
   */
  stopOnSignals(options: SignalOptions = {}): () => void {
    const unwire = stopOnSignals(this, options);
    void this.closed.then(unwire);
    return unwire;
  }

  /**
   * Stops all children, in reverse order, and the supervisor. Turns end at once; resolves once no process is left. Idempotent: a
   * second call waits for the first, and speeds it up with `kill`.
   *
   * @param options how to stop
   * @param options.kill whether to kill the processes instead of asking them to end. Default `false`
   */
  async stop(options: { readonly kill?: boolean } = {}): Promise<void> {
    await this.#local.stop(options);
  }

  /** Same as {@link Supervisor.stop}, for `await using`. */
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

  /** Returns a global name as one, also in the form in which a cluster lists it. */
  #globalNameOf(session: SessionRef | GlobalName): GlobalName | undefined {
    if (isGlobalName(session)) return session;
    const isShown = this.cluster !== undefined && Array.isArray(session) && session[0] === GLOBAL;
    return isShown ? globalName(session as SessionName) : undefined;
  }
}

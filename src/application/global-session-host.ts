import { machineMemory } from "../capacity/machine-memory.ts";
import { type TurnLimiter, TurnScope } from "../capacity/turn-limiter.ts";
import type { Clock, Timer } from "../clock.ts";
import type { RunStorage } from "../cluster/run-storage.ts";
import type { HostedSession, HostNode, SessionActivity, SessionHost } from "../cluster/session-host.ts";
import { SharedTurns } from "../cluster/shared-turns.ts";
import type { Duration } from "../duration.ts";
import { CastellanError } from "../errors.ts";
import { withoutUndefined } from "../fields.ts";
import { formatName, nameKey, nameOfKey, type SessionName } from "../names.ts";
import { readMemory } from "../session/conversation/session-memory.ts";
import { GLOBAL } from "../session/options/global-name.ts";
import type { SessionDefaults } from "../session/options/options.ts";
import { sessionSettings } from "../session/options/session-settings.ts";
import { invalidOptions } from "../session/options/validation.ts";
import type { Removed } from "../session/persistence/erasure.ts";
import type { KnownSession } from "../session/persistence/supervisor-journal.ts";
import type { UsageOptions, UsageReport } from "../session/persistence/usage.ts";
import { serverOf } from "../session/session.ts";
import type { SessionServer } from "../session/session-server.ts";
import { eraseFiles } from "./erasing.ts";
import { ExportPages } from "./export-pages.ts";
import { type GlobalChildren, NO_SESSION_STORE } from "./global-children.ts";
import { HostedJobs } from "./hosted-jobs.ts";
import type { HostedPools } from "./hosted-pools.ts";
import { type CallContext, SupervisedSession } from "./hosted-session.ts";
import type { BudgetReport } from "./inspection/budgets.ts";
import type { StoreReport } from "./inspection/storage.ts";
import { LocalSupervisor } from "./local-supervisor.ts";
import { type ChildOptions, childPlans } from "./options/child-options.ts";
import { type SupervisorSettings, supervisorSettings } from "./options/supervisor-options.ts";
import { template } from "./options/template.ts";
import type { SupervisorDeps } from "./supervisor-deps.ts";
import type { CredentialsReport } from "./tree/supervisor-reports.ts";

/** The maximum number of global sessions in a node's memory. The node evicts hibernated sessions long before. */
const MAX_SESSIONS = 1_000_000;

/** How often to read what other nodes have spent, in milliseconds: while turns run, and without any. */
const SPENDING_MS = 1_000;
const IDLE_SPENDING_MS = 30_000;

/**
 * Hosts the global sessions of one run of a node: in a supervisor of their own, with the cluster's journal, as sessions
 * of a template.
 */
export class GlobalSessionHost implements SessionHost {
  readonly #supervisor: LocalSupervisor;
  readonly #storage: RunStorage;
  readonly #children: () => GlobalChildren;
  readonly #pools: HostedPools;
  readonly #defaults: SessionDefaults;
  readonly #clock: Clock;
  readonly #newId: () => string;
  /** The jobs of the node's pools, by name. */
  readonly #jobs = new Map<string, HostedJobs>();
  readonly #exports: ExportPages;
  /** The sessions that a fork is about to start, by key. */
  readonly #forking = new Set<string>();
  /** The node, once its run has joined. */
  #node: HostNode | undefined;
  #ended = false;
  #spending: Timer | undefined;
  #turns: SharedTurns | undefined;
  #shareTurns: (node: HostNode) => void = () => {};
  #stopping: Promise<void> | undefined;

  private constructor(
    supervisor: LocalSupervisor,
    storage: RunStorage,
    children: () => GlobalChildren,
    pools: HostedPools,
    defaults: SessionDefaults,
    { clock, newId }: SupervisorDeps,
  ) {
    this.#supervisor = supervisor;
    this.#storage = storage;
    this.#children = children;
    this.#pools = pools;
    this.#defaults = defaults;
    this.#clock = clock;
    this.#newId = newId;
    this.#exports = new ExportPages(clock, newId);
  }

  /**
   * @param children returns the current global children
   * @throws CastellanError `SESSION_ALREADY_STARTED` if this process already is a node, `JOURNAL_UNAVAILABLE`
   */
  static async open(
    storage: RunStorage,
    children: () => GlobalChildren,
    pools: HostedPools,
    { name, given, cluster, logger }: SupervisorSettings,
    deps: SupervisorDeps,
    turns: TurnLimiter,
  ): Promise<GlobalSessionHost> {
    const { maxProcesses, budget } = cluster ?? {};
    const scope = new TurnScope();
    const settings = supervisorSettings({
      name: `${name ?? "supervisor"}/${GLOBAL}`,
      journal: storage.journal,
      ...withoutUndefined({ defaults: given.defaults, logger, budget }),
      ...(maxProcesses === undefined ? {} : { capacity: { maxProcesses } }),
    });
    const sessions = globalTemplate(storage, children);
    const supervisor = await LocalSupervisor.start(settings, childPlans([sessions], settings), {
      ...deps,
      turns: turns.within(scope),
    }).catch((error: unknown) => {
      throw CastellanError.is(error, "SESSION_ALREADY_STARTED") ? alreadyNode(error) : error;
    });
    const host = new GlobalSessionHost(supervisor, storage, children, pools, given.defaults ?? {}, deps);
    if (cluster?.maxConcurrentTurns !== undefined) {
      const { maxConcurrentTurns: limit, beatMs } = cluster;
      // Until the run has joined, no turn can run.
      scope.limit = 0;
      scope.whole = limit;
      host.#shareTurns = (node) => {
        const share = node.shareTurns.bind(node);
        host.#turns = new SharedTurns({ limit, scope, limiter: turns, clock: deps.clock, beatMs, share });
      };
    }
    if (budget !== undefined) host.#followSpending(scope);
    return host;
  }

  /** Takes over what other nodes spend: at once while turns run or wait here, and otherwise now and then. */
  #followSpending(scope: TurnScope): void {
    let idleMs = 0;
    const look = async (): Promise<void> => {
      idleMs = scope.running + scope.waiting > 0 ? 0 : idleMs + SPENDING_MS;
      // What cannot be read now is read the next time.
      if (idleMs % IDLE_SPENDING_MS === 0) await this.#supervisor.journal.followSpending().catch(() => {});
      if (this.#ended) return;
      this.#spending = this.#clock.schedule(SPENDING_MS, () => void look(), { background: true });
    };
    this.#spending = this.#clock.schedule(SPENDING_MS, () => void look(), { background: true });
  }

  /** Ends what runs beside the sessions. */
  #close(): void {
    this.#ended = true;
    this.#spending?.cancel();
    this.#turns?.close();
    this.#closeJobs();
  }

  get load(): number {
    const { processes, waiting } = this.#supervisor.status.capacity();
    return processes + waiting;
  }

  activityOf(name: SessionName): SessionActivity {
    const status = this.#supervisor.statusOf(name);
    if (status === undefined || status.state === "quarantined" || status.state === "stopped") return "none";
    const { state, pid, mailbox, wakeups } = status;
    if (mailbox > 0 || wakeups.length > 0) return "busy";
    if (state === "idle") return "idle";
    return state === "hibernated" || pid === undefined ? "none" : "busy";
  }

  get busy(): Readonly<Record<string, number>> {
    return this.#pools.busy;
  }

  get report(): NonNullable<SessionHost["report"]> {
    const { processes, waiting, turns } = this.#supervisor.status.capacity();
    const { claudeRelease } = this.#supervisor;
    return {
      ...{ processes, waiting, turns: turns.running, memory: machineMemory(), nodeRelease: process.versions.node },
      ...withoutUndefined({ claudeRelease }),
    };
  }

  session(name: SessionName): HostedSession {
    // An undeclared session has its own error, unlike one that cannot start.
    if (!this.#children().knows(name)) throw undeclared(name);
    const jobs = this.#jobs.get(String(name[1]));
    const arrived = async (id: string): Promise<void> => await jobs?.arrived(id);
    const fork: CallContext["fork"] = (source, key) => this.#fork(source, key);
    const own = { supervisor: this.#supervisor, node: this.#storage.node, exports: this.#exports, arrived, fork };
    return new SupervisedSession(own, name);
  }

  /**
   * Starts the session with this key on this node, with a copy of the conversation of `source`. Resolves with `"owned"` if a
   * node owns the session, and with `"taken"` if it has a conversation, or is about to get one.
   */
  async #fork(source: SessionServer, key: string): Promise<"forked" | "owned" | "taken"> {
    const name = nameOfKey(key);
    if (!this.#children().knows(name)) throw undeclared(name);
    const node = this.#node;
    if (node === undefined) throw new CastellanError("NOT_OWNER", "The node is not in the cluster now.");
    await source.fromJournal(async () => {});
    const known = (await this.#supervisor.journal.read([key])).get(key);
    if (this.#forking.has(key) || (known !== undefined && hasConversation(known))) return "taken";
    if (this.#storage.owns(key)) return "owned";
    this.#forking.add(key);
    const forked = this.#supervisor.forkIntoTemplate(name, source);
    try {
      if (!(await node.claim(key))) return "owned";
      // Its conversation is in the journal then.
      await serverNamed(this.#supervisor, name).fromJournal(async () => {});
      return "forked";
    } finally {
      this.#forking.delete(key);
      forked();
    }
  }

  pool(name: string): HostedSession | undefined {
    return this.#pools.find(name, this.#jobs.get(name)?.jobs);
  }

  joined(node: HostNode): void {
    this.#node = node;
    this.#shareTurns(node);
    for (const name of this.#children().pools.keys()) {
      const jobs = new HostedJobs({
        name,
        clock: this.#clock,
        newId: this.#newId,
        supervisor: this.#supervisor,
        node,
        settings: () => this.#children().pools.get(name),
      });
      this.#jobs.set(name, jobs);
      jobs.begin();
    }
  }

  async release(name: SessionName, deadlineMs: number): Promise<void> {
    try {
      await this.#supervisor.handOver(name, deadlineMs);
    } catch (error) {
      // Stopping the host also releases the session.
      if (this.#stopping === undefined) throw error;
      await this.#stopping;
    }
  }

  async eraseFiles(name: SessionName, conversations: readonly string[], memory: boolean): Promise<Removed> {
    const options = optionsOrNone(() => this.#children().optionsOf(name));
    const settings = sessionSettings({ ...options, name }, this.#defaults);
    return await eraseFiles(settings, conversations, memory, this.#newId());
  }

  async catchUp(): Promise<void> {
    await this.#storage.catchUp();
  }

  /** See `Supervisor.refreshCredentials`. @throws CastellanError `SUPERVISOR_STOPPED` if it has ended */
  async refreshCredentials(options: { readonly deadline?: Duration }): Promise<CredentialsReport> {
    return await this.#supervisor.refreshCredentials(options);
  }

  /** See `Supervisor.usage`. @throws CastellanError `SUPERVISOR_STOPPED` if it has ended, `JOURNAL_UNAVAILABLE` */
  async usage({ global: _, ...options }: UsageOptions): Promise<UsageReport[]> {
    return await this.#supervisor.status.usage(options);
  }

  /** Asks the journal of global sessions. @throws CastellanError `SUPERVISOR_STOPPED` */
  async store(): Promise<StoreReport> {
    return await this.#supervisor.store();
  }

  /** Returns the budget that all global sessions share, and those of the ones on this node. */
  budgets(): BudgetReport[] {
    return this.#supervisor.status.budgets().map(
      // The template of all global sessions is none of the application's.
      ({ template: _, ...report }) => (report.session === undefined ? { ...report, global: true } : report),
    );
  }

  async kill(cause: CastellanError): Promise<void> {
    this.#close();
    this.#storage.lose(cause);
    await this.#supervisor.closed;
  }

  stop(): Promise<void> {
    this.#close();
    this.#stopping ??= this.#supervisor.stop();
    return this.#stopping;
  }

  #closeJobs(): void {
    for (const jobs of this.#jobs.values()) jobs.close();
  }
}

/** Whether anything was said in the session, or waits to be. */
function hasConversation({ entry, turns }: KnownSession): boolean {
  if (entry === undefined || turns.length > 0) return turns.length > 0;
  const { conversation } = readMemory(entry.memory, entry.key);
  return conversation.kind === "fork" || (conversation.kind === "kept" && !conversation.empty);
}

function serverNamed(supervisor: LocalSupervisor, name: SessionName): SessionServer {
  const server = serverOf(supervisor.session(name));
  if (server === undefined) throw new Error("the session belongs to another copy of this package");
  return server;
}

/** Makes the template of all global sessions of a run. */
function globalTemplate(storage: RunStorage, children: () => GlobalChildren): ChildOptions {
  const { keeping } = children();
  return template(
    GLOBAL,
    (...key: readonly (string | number | undefined)[]) => {
      const session = [GLOBAL, ...key] as SessionName;
      // Rejects a name that bypasses the cluster: the database would reject what the session writes.
      if (!storage.owns(nameKey(session))) throw notOwned(session);
      const options = children().optionsOf(session);
      if (options === undefined) throw undeclared(session);
      if (options.sessionStore !== undefined) throw ownStore(session);
      return options;
    },
    { maxSessions: MAX_SESSIONS, maxHibernated: keeping.maxHibernated, retention: keeping.retentionMs },
  );
}

/** The template's function may no longer know the user that the session belonged to. */
function optionsOrNone(options: () => SessionDefaults | undefined): SessionDefaults {
  try {
    return options() ?? {};
  } catch {
    return {};
  }
}

/** Names are unique in a process, and so are those of the global sessions on this node. */
function alreadyNode(cause: CastellanError<"SESSION_ALREADY_STARTED">): CastellanError<"SESSION_ALREADY_STARTED"> {
  const { details } = cause;
  const message = `This process already is a node of a cluster, by ${details.supervisor}, or has a template or a pool ${JSON.stringify(GLOBAL)}. A process can be one node only.`;
  return new CastellanError("SESSION_ALREADY_STARTED", message, { details, cause });
}

function undeclared(name: SessionName): CastellanError<"SESSION_NOT_FOUND"> {
  const message = `There is no global session ${formatName(name)}: no child of this node's supervisor declares it, and no template covers its name.`;
  return new CastellanError("SESSION_NOT_FOUND", message, { details: { nearMisses: [] } });
}

function notOwned(name: SessionName): CastellanError<"SESSION_NOT_FOUND"> {
  const message = `Session ${formatName(name)} is global and not on this node. Use \`global(…)\` as its name.`;
  return new CastellanError("SESSION_NOT_FOUND", message, { details: { nearMisses: [] } });
}

function ownStore(name: SessionName): CastellanError {
  return invalidOptions(`session ${formatName(name)}`, [{ field: "sessionStore", message: NO_SESSION_STORE }]);
}

import type { RunStorage } from "../cluster/run-storage.ts";
import type { HostedSession, SessionHost } from "../cluster/session-host.ts";
import type { Duration } from "../duration.ts";
import { CastellanError } from "../errors.ts";
import { withoutUndefined } from "../fields.ts";
import { formatName, nameKey, type SessionName } from "../names.ts";
import { GLOBAL } from "../session/options/global-name.ts";
import type { SessionDefaults } from "../session/options/options.ts";
import { sessionSettings } from "../session/options/session-settings.ts";
import { invalidOptions } from "../session/options/validation.ts";
import type { Removed } from "../session/persistence/erasure.ts";
import { eraseFiles } from "./erasing.ts";
import { ExportPages } from "./export-pages.ts";
import type { GlobalChildren } from "./global-children.ts";
import type { HostedPools } from "./hosted-session.ts";
import { SupervisedSession } from "./hosted-session.ts";
import { LocalSupervisor, type SupervisorDeps } from "./local-supervisor.ts";
import { type ChildOptions, childPlans } from "./options/child-options.ts";
import { type SupervisorSettings, supervisorSettings } from "./options/supervisor-options.ts";
import { template } from "./options/template.ts";
import type { CredentialsReport } from "./tree/supervisor-reports.ts";

/** How many global sessions a node has in memory at the most; those that hibernate are let go long before. */
const MOST_SESSIONS = 1_000_000;

/**
 * Hosts the global sessions of one run of a node, in a supervisor of their own, whose journal and transcripts are the cluster's.
 * They come to life by their names, as those of a template.
 */
export class GlobalSessionHost implements SessionHost {
  readonly #supervisor: LocalSupervisor;
  readonly #storage: RunStorage;
  readonly #children: () => GlobalChildren;
  readonly #pools: HostedPools;
  readonly #defaults: SessionDefaults;
  readonly #newId: () => string;
  readonly #exports: ExportPages;
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
    this.#newId = newId;
    this.#exports = new ExportPages(clock, newId);
  }

  /**
   * @param children what they are to be, asked anew for each
   * @throws CastellanError `SESSION_ALREADY_STARTED` if this process is another node already, `JOURNAL_UNAVAILABLE`
   */
  static async open(
    storage: RunStorage,
    children: () => GlobalChildren,
    pools: HostedPools,
    { name, given, cluster, logger }: SupervisorSettings,
    deps: SupervisorDeps,
  ): Promise<GlobalSessionHost> {
    const { maxProcesses } = cluster ?? {};
    const settings = supervisorSettings({
      name: `${name ?? "supervisor"}/${GLOBAL}`,
      journal: storage.journal,
      ...withoutUndefined({ defaults: given.defaults, logger }),
      ...(maxProcesses === undefined ? {} : { capacity: { maxProcesses } }),
    });
    const sessions = globalTemplate(storage, children, given.defaults);
    const supervisor = await LocalSupervisor.start(settings, childPlans([sessions], settings), deps).catch(
      (error: unknown) => {
        throw CastellanError.is(error, "SESSION_ALREADY_STARTED") ? secondNode(error) : error;
      },
    );
    return new GlobalSessionHost(supervisor, storage, children, pools, given.defaults ?? {}, deps);
  }

  get load(): number {
    const { processes, waiting } = this.#supervisor.status.capacity();
    return processes + waiting;
  }

  session(name: SessionName): HostedSession {
    // What nobody knows is told apart from what cannot be started.
    if (!this.#children().knows(name)) throw unknown(name);
    return new SupervisedSession(this.#supervisor, name, this.#storage.node, this.#exports);
  }

  pool(name: string): HostedSession | undefined {
    return this.#pools.find(name);
  }

  async release(name: SessionName, deadlineMs: number): Promise<void> {
    try {
      await this.#supervisor.handOver(name, deadlineMs);
    } catch (error) {
      // What ends all of them ends this one.
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

  async kill(cause: CastellanError): Promise<void> {
    this.#storage.lose(cause);
    await this.#ended();
  }

  stop(): Promise<void> {
    this.#stopping ??= this.#supervisor.stop().then(() => this.#ended());
    return this.#stopping;
  }

  async #ended(): Promise<void> {
    await this.#supervisor.closed;
    await this.#storage.close();
  }
}

/** The template of all global sessions of a run. */
function globalTemplate(
  storage: RunStorage,
  children: () => GlobalChildren,
  defaults: SessionDefaults | undefined,
): ChildOptions {
  const { keeping } = children();
  // What a turn has done is to be known when its node is lost in the middle of it.
  const flush = defaults?.sessionStoreFlush === undefined ? { sessionStoreFlush: "eager" as const } : {};
  return template(
    GLOBAL,
    (...key: readonly (string | number | undefined)[]) => {
      const session = [GLOBAL, ...key] as SessionName;
      // Asked for past the cluster, by the name of this process; what it would write nobody would take.
      if (!storage.owns(nameKey(session))) throw notOwned(session);
      const options = children().optionsOf(session);
      if (options === undefined) throw unknown(session);
      if (options.sessionStore !== undefined) throw ownStore(session);
      return { ...flush, ...options, sessionStore: storage.storeOf(nameKey(session)) };
    },
    { maxSessions: MOST_SESSIONS, maxHibernated: keeping.maxHibernated, retention: keeping.retentionMs },
  );
}

/** Whoever is to be erased may be gone already for the function that makes the options. */
function optionsOrNone(options: () => SessionDefaults | undefined): SessionDefaults {
  try {
    return options() ?? {};
  } catch {
    return {};
  }
}

/** The names of a process are one set, and so are those of the global sessions that are in it. */
function secondNode(cause: CastellanError<"SESSION_ALREADY_STARTED">): CastellanError<"SESSION_ALREADY_STARTED"> {
  const { details } = cause;
  const message = `This process is a node of a cluster already, by ${details.supervisor}, or has a template or a pool ${JSON.stringify(GLOBAL)}; it can be one node only.`;
  return new CastellanError("SESSION_ALREADY_STARTED", message, { details, cause });
}

function unknown(name: SessionName): CastellanError<"SESSION_NOT_FOUND"> {
  const message = `There is no global session ${formatName(name)}: no child of this node's supervisor declares it, and no template has its name.`;
  return new CastellanError("SESSION_NOT_FOUND", message, { details: { nearMisses: [] } });
}

function notOwned(name: SessionName): CastellanError<"SESSION_NOT_FOUND"> {
  const message = `Session ${formatName(name)} is global and not on this node; ask for it by \`global(…)\`.`;
  return new CastellanError("SESSION_NOT_FOUND", message, { details: { nearMisses: [] } });
}

function ownStore(name: SessionName): CastellanError {
  const message = "cannot be given for a global session, whose transcripts are in the cluster's database";
  return invalidOptions(`session ${formatName(name)}`, [{ field: "sessionStore", message }]);
}

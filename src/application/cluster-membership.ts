import { isDeepStrictEqual } from "node:util";
import type { TurnLimiter } from "../capacity/turn-limiter.ts";
import { type Clock, systemClock } from "../clock.ts";
import type { Cluster } from "../cluster/cluster.ts";
import type { ClusterSettings } from "../cluster/cluster-options.ts";
import type { Membership } from "../cluster/join.ts";
import type { Duration } from "../duration.ts";
import { CastellanError } from "../errors.ts";
import { withoutUndefined } from "../fields.ts";
import { globalName } from "../session/options/global-name.ts";
import { invalidOptions } from "../session/options/validation.ts";
import type { UsageOptions, UsageReport } from "../session/persistence/usage.ts";
import { enterCluster } from "./clusters.ts";
import { type GlobalChildren, globalChildren } from "./global-children.ts";
import type { GlobalSessionHost } from "./global-session-host.ts";
import type { BudgetReport } from "./inspection/budgets.ts";
import { askStore, type StoreReport } from "./inspection/storage.ts";
import type { ChildOptions } from "./options/child-options.ts";
import { logWarning, type SupervisorSettings } from "./options/supervisor-options.ts";
import type { SupervisorDeps } from "./supervisor-deps.ts";
import type { JoinedCluster } from "./supervisor-status.ts";
import type { Pools } from "./tree/pools.ts";
import type { CredentialsReport } from "./tree/supervisor-reports.ts";

/** The fault of a node whose lease has expired. */
const LEASE_LOST = "the node cannot renew its lease, and has stopped its global sessions until it can";

/** A supervisor's membership in its cluster: its global children, and the node that hosts them. */
export class ClusterMembership implements JoinedCluster {
  readonly #cluster: ClusterSettings;
  #settings: SupervisorSettings;
  #globals: GlobalChildren;
  #membership: Membership | undefined;
  /** The host of the node's last run. */
  #host: GlobalSessionHost | undefined;
  #leaveProcess: () => void = () => {};
  #clock: Clock = systemClock;

  private constructor(cluster: ClusterSettings, settings: SupervisorSettings, globals: GlobalChildren) {
    this.#cluster = cluster;
    this.#settings = settings;
    this.#globals = globals;
  }

  /** Returns the membership, or undefined if the supervisor is not a node. @throws CastellanError `INVALID_OPTIONS` */
  static of(children: readonly ChildOptions[], settings: SupervisorSettings): ClusterMembership | undefined {
    const { cluster, defaults } = settings;
    if (cluster === undefined) return undefined;
    return new ClusterMembership(cluster, settings, globalChildren(children, cluster.labels, defaults));
  }

  /** The cluster, once the node has joined it. */
  get cluster(): Cluster | undefined {
    return this.#membership?.cluster;
  }

  /** The name of the node, once it has joined. */
  get node(): string | undefined {
    return this.#membership?.name;
  }

  /** Why the node currently takes no turns of global sessions; undefined if it does. */
  get fault(): string | undefined {
    const node = this.#membership?.node;
    return node?.phase === "lost" ? (node.refusal?.message ?? LEASE_LOST) : undefined;
  }

  /** What is wrong with the clock of the machine, compared with the database's; undefined if nothing is known to be. */
  get clockFault(): string | undefined {
    return this.#membership?.node.clockFault;
  }

  /** The children that exist once per process. */
  get local(): readonly ChildOptions[] {
    return this.#globals.local;
  }

  /**
   * Joins the cluster as a node.
   *
   * @param pools the pools of the supervisor, some of which are global
   * @param turns limits the turns of this node
   * @throws CastellanError `DATABASE_UNAVAILABLE`, `JOURNAL_UNAVAILABLE`, `INVALID_OPTIONS` if it cannot listen
   */
  async join(pools: Pools, deps: SupervisorDeps, turns: TurnLimiter): Promise<void> {
    const { hosts, wanted } = this.#globals;
    const { logger } = this.#settings;
    this.#clock = deps.clock;
    // Loaded on demand: only nodes need these modules.
    const [{ joinCluster }, { GlobalSessionHost }, { HostedPools }] = await Promise.all([
      import("../cluster/join.ts"),
      import("./global-session-host.ts"),
      import("./hosted-pools.ts"),
    ]);
    const hosted = new HostedPools(pools, hosts.pools);
    this.#membership = await joinCluster({
      ...deps,
      settings: this.#cluster,
      hosts,
      wanted,
      openHost: async (storage) => {
        this.#host = await GlobalSessionHost.open(storage, () => this.#globals, hosted, this.#settings, deps, turns);
        return this.#host;
      },
      warn: (message) => logWarning(logger, "NOT_OWNER", message),
    });
    const { cluster } = this.#membership;
    for (const name of hosts.pools) {
      const server = pools.server(name);
      if (server !== undefined) server.shared = cluster.pool(globalName(name));
    }
    this.#leaveProcess = enterCluster(this.#membership.cluster);
  }

  /**
   * Returns changed global children. Their names cannot change: the other nodes know since the join what this node hosts.
   *
   * @throws CastellanError `INVALID_OPTIONS`
   */
  revise(children: readonly ChildOptions[], { defaults }: SupervisorSettings): GlobalChildren {
    const globals = globalChildren(children, this.#cluster.labels, defaults);
    if (isDeepStrictEqual(globals.hosts, this.#globals.hosts)) return globals;
    const message = "cannot change its global children; restart the node for that";
    throw invalidOptions("supervisor", [{ field: "children", message }]);
  }

  /** Applies changed global children. A global session gets its changed options when it next starts on a node. */
  apply(globals: GlobalChildren, settings: SupervisorSettings): void {
    this.#globals = globals;
    this.#settings = settings;
  }

  /** See `Supervisor.refreshCredentials`. Resolves with undefined on a node whose lease has expired, since it has no sessions. */
  async refreshCredentials(options: { readonly deadline?: Duration }): Promise<CredentialsReport | undefined> {
    return await this.#host?.refreshCredentials(options).catch(() => undefined);
  }

  /** Reports the spending of global sessions; see `Supervisor.usage`. @throws CastellanError `CLUSTER_UNAVAILABLE` without a lease */
  async usage(options: UsageOptions): Promise<UsageReport[]> {
    if (this.#host === undefined || this.fault !== undefined) {
      throw new CastellanError("CLUSTER_UNAVAILABLE", `${this.fault ?? "The node has not joined yet."}`, {
        details: { reason: "unreachable" },
      });
    }
    return await this.#host.usage(options);
  }

  /** Asks the cluster's database. Undefined before the node has joined. */
  async store(): Promise<StoreReport | undefined> {
    const cluster = this.#membership?.cluster;
    if (cluster === undefined) return undefined;
    const asked = { kind: "postgres", location: cluster.location, ask: () => cluster.version() } as const;
    const [own, report] = await Promise.all([this.#host?.store().catch(() => undefined), askStore(asked, this.#clock)]);
    const { lastFault, damage } = own ?? {};
    return { ...report, ...withoutUndefined({ fault: this.fault ?? own?.fault ?? report.fault, lastFault, damage }) };
  }

  /** Returns the budgets of the global sessions on this node. */
  budgets(): BudgetReport[] {
    return this.fault === undefined ? (this.#host?.budgets() ?? []) : [];
  }

  /**
   * Releases what the node owns, see `ClusterNode.drain`, and leaves the cluster. Idempotent: a second call waits for the first.
   */
  async leave(deadlineMs: number): Promise<void> {
    await this.#membership?.leave(deadlineMs);
    this.#leaveProcess();
  }
}

import { isDeepStrictEqual } from "node:util";
import type { Cluster } from "../cluster/cluster.ts";
import type { ClusterSettings } from "../cluster/cluster-options.ts";
import type { Membership } from "../cluster/join.ts";
import type { Duration } from "../duration.ts";
import { invalidOptions } from "../session/options/validation.ts";
import { enterCluster } from "./clusters.ts";
import { type GlobalChildren, globalChildren } from "./global-children.ts";
import type { GlobalSessionHost } from "./global-session-host.ts";
import type { SupervisorDeps } from "./local-supervisor.ts";
import type { ChildOptions } from "./options/child-options.ts";
import type { SupervisorSettings } from "./options/supervisor-options.ts";
import type { JoinedCluster } from "./supervisor-status.ts";
import type { Pools } from "./tree/pools.ts";
import type { CredentialsReport } from "./tree/supervisor-reports.ts";

/** What is wrong with a node that others may take for dead. */
const ALONE = "the node cannot say that it lives, and has given up its global sessions until it can";

/** A supervisor's part in its cluster: which of its children are there once on all nodes, and what it has of the others. */
export class ClusterMembership implements JoinedCluster {
  readonly #cluster: ClusterSettings;
  #settings: SupervisorSettings;
  #globals: GlobalChildren;
  #membership: Membership | undefined;
  /** Of the last run of the node. */
  #host: GlobalSessionHost | undefined;
  #leaveProcess: () => void = () => {};

  private constructor(cluster: ClusterSettings, settings: SupervisorSettings, globals: GlobalChildren) {
    this.#cluster = cluster;
    this.#settings = settings;
    this.#globals = globals;
  }

  /** `undefined` if the supervisor is no node. @throws CastellanError `INVALID_OPTIONS` */
  static of(children: readonly ChildOptions[], settings: SupervisorSettings): ClusterMembership | undefined {
    const { cluster, defaults } = settings;
    if (cluster === undefined) return undefined;
    return new ClusterMembership(cluster, settings, globalChildren(children, cluster.labels, defaults));
  }

  /** The cluster, once it has joined. */
  get cluster(): Cluster | undefined {
    return this.#membership?.cluster;
  }

  /** Why it takes no turns of global sessions at this moment, if it does not. */
  get fault(): string | undefined {
    return this.#membership?.node.phase === "lost" ? ALONE : undefined;
  }

  /** The children that are there once in this process. */
  get local(): readonly ChildOptions[] {
    return this.#globals.local;
  }

  /**
   * Makes this process a node.
   *
   * @param pools those of the supervisor, some of which are global
   * @throws CastellanError `DATABASE_UNAVAILABLE`, `JOURNAL_UNAVAILABLE`, `INVALID_OPTIONS` if it cannot listen
   */
  async join(pools: Pools, deps: SupervisorDeps): Promise<void> {
    const { hosts, wanted } = this.#globals;
    const { logger } = this.#settings;
    // Only nodes of a cluster load what it takes to be one.
    const [{ joinCluster }, { GlobalSessionHost }, { HostedPools }] = await Promise.all([
      import("../cluster/join.ts"),
      import("./global-session-host.ts"),
      import("./hosted-session.ts"),
    ]);
    const hosted = new HostedPools(pools, hosts.pools);
    this.#membership = await joinCluster({
      ...deps,
      settings: this.#cluster,
      hosts,
      wanted,
      openHost: async (storage) => {
        this.#host = await GlobalSessionHost.open(storage, () => this.#globals, hosted, this.#settings, deps);
        return this.#host;
      },
      warn: (message) => {
        if (logger === undefined) process.emitWarning(message, { type: "CastellanWarning", code: "NOT_OWNER" });
        else logger.warn(message);
      },
    });
    this.#leaveProcess = enterCluster(this.#membership.cluster);
  }

  /**
   * Its children as they would be. Which global ones there are cannot change: the others know what it hosts since it has joined.
   *
   * @throws CastellanError `INVALID_OPTIONS`
   */
  revised(children: readonly ChildOptions[], { defaults }: SupervisorSettings): GlobalChildren {
    const globals = globalChildren(children, this.#cluster.labels, defaults);
    if (isDeepStrictEqual(globals.hosts, this.#globals.hosts)) return globals;
    const message = "has other global children than before; that takes another start of the node";
    throw invalidOptions("supervisor", [{ field: "children", message }]);
  }

  /** Its children are these from now on: global sessions take up changed options when they come to life the next time. */
  take(globals: GlobalChildren, settings: SupervisorSettings): void {
    this.#globals = globals;
    this.#settings = settings;
  }

  /** See `Supervisor.refreshCredentials`; `undefined` from a node that has been given up for dead, and has no sessions. */
  async refreshCredentials(options: { readonly deadline?: Duration }): Promise<CredentialsReport | undefined> {
    return await this.#host?.refreshCredentials(options).catch(() => undefined);
  }

  /** Gives up what it owns, see `ClusterNode.drain`, and leaves. A second call waits for the same end. */
  async leave(deadlineMs: number): Promise<void> {
    await this.#membership?.leave(deadlineMs);
    this.#leaveProcess();
  }
}

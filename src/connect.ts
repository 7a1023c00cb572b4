/**
 * Clients of a cluster: for a process that queries the sessions of a cluster and hosts none. A node of a cluster is a
 * `Supervisor` with the option `cluster`.
 *
 * @module castellan/cluster
 */

import "./required-node.ts";

import { randomUUID } from "node:crypto";
import { enterCluster } from "./application/clusters.ts";
import { systemClock } from "./clock.ts";
import type { Cluster } from "./cluster/cluster.ts";
import { type ConnectOptions, connectSettings } from "./cluster/cluster-options.ts";
import { connectCluster } from "./cluster/join.ts";

export { global } from "./castellan.ts";
export type { Cluster, GlobalSessionInfo, NodeInfo } from "./cluster/cluster.ts";
export type { ClusterOptions, ClusterTls, ConnectOptions } from "./cluster/cluster-options.ts";
export type { GlobalFindOptions, GlobalFoundSession, GlobalFoundState } from "./cluster/global-finding.ts";
export type { GlobalPool } from "./cluster/global-pool.ts";
export type {
  GlobalApproval,
  GlobalSession,
  GlobalSessionStatus,
  SentMcpServer,
} from "./cluster/global-session.ts";
export type { MovedSession } from "./cluster/rebalance.ts";
export type { SessionActivity } from "./cluster/session-host.ts";
export type { GlobalName, GlobalPlacement } from "./session/options/global-name.ts";

/**
 * Connects to a cluster without joining it as a node. Global names are then found there, by the functions of `castellan` as well
 * as by the cluster's methods. Makes no connection before the first call. Needs the package `pg`.
 *
 * @throws CastellanError `INVALID_OPTIONS`
 * @example
 * await using cluster = connect({ postgres: process.env.DATABASE_URL, secret: process.env.CASTELLAN_SECRET });
 * const { text } = await cluster.query(global(["support", 42]), "Hello");
 */
export function connect(options: ConnectOptions): Cluster {
  const means = { clock: systemClock, newId: randomUUID, random: Math.random };
  return connectCluster(connectSettings(options), means, enterCluster);
}

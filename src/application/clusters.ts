import type { Cluster } from "../cluster/cluster.ts";
import { CastellanError } from "../errors.ts";
import { formatName } from "../names.ts";
import { type GlobalName, globalNameOf } from "../session/options/global-name.ts";

/** The clusters that this process has joined or is connected to. One list per process, even if this package is loaded twice. */
const SHARED = Symbol.for("castellan.clusters.1");

function sharedClusters(): Set<Cluster> {
  const existing = Reflect.get(globalThis, SHARED) as Set<Cluster> | undefined;
  const clusters = existing ?? new Set<Cluster>();
  if (existing === undefined) Reflect.set(globalThis, SHARED, clusters);
  return clusters;
}

/** Makes global names of this process resolve in a cluster. @returns a function that undoes it */
export function enterCluster(cluster: Cluster): () => void {
  sharedClusters().add(cluster);
  return () => void sharedClusters().delete(cluster);
}

/** Returns the first cluster that this process joined or connected to, if any. */
export function presentCluster(): Cluster | undefined {
  return [...sharedClusters()].find(({ closed }) => !closed);
}

/**
 * Returns the cluster of a global name: the first one that this process joined or connected to.
 *
 * @throws CastellanError `CLUSTER_UNAVAILABLE` if there is none
 */
export function clusterOf(name: GlobalName): Cluster {
  const cluster = presentCluster();
  if (cluster !== undefined) return cluster;
  const session = formatName(globalNameOf(name));
  const message = `global session ${session}: this process is in no cluster. Start a supervisor with \`cluster\`, or call \`connect\`.`;
  throw new CastellanError("CLUSTER_UNAVAILABLE", message, { details: { reason: "no_node" } });
}

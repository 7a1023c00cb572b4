import type { Cluster } from "../cluster/cluster.ts";
import { CastellanError } from "../errors.ts";
import { formatName } from "../names.ts";
import { type GlobalName, globalNameOf } from "../session/options/global-name.ts";

/** The clusters that this process takes part in, or is connected to; one list, also if this package is loaded twice. */
const SHARED = Symbol.for("castellan.clusters.1");

function joined(): Set<Cluster> {
  const existing = Reflect.get(globalThis, SHARED) as Set<Cluster> | undefined;
  const clusters = existing ?? new Set<Cluster>();
  if (existing === undefined) Reflect.set(globalThis, SHARED, clusters);
  return clusters;
}

/** Global names are found in this cluster from now on. @returns takes it back */
export function enterCluster(cluster: Cluster): () => void {
  joined().add(cluster);
  return () => void joined().delete(cluster);
}

/**
 * The cluster in which a global name is found: the one that this process was the first to join or to connect to.
 *
 * @throws CastellanError `CLUSTER_UNAVAILABLE` if there is none
 */
export function clusterOf(name: GlobalName): Cluster {
  const cluster = [...joined()].find(({ closed }) => !closed);
  if (cluster !== undefined) return cluster;
  const session = formatName(globalNameOf(name));
  const message = `global session ${session}: this process takes part in no cluster. Start a supervisor with \`cluster\`, or \`connect\` to one.`;
  throw new CastellanError("CLUSTER_UNAVAILABLE", message, { details: { reason: "no_node" } });
}

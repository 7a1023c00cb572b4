/** How many turns a node runs, and how many more it would run. */
export interface TurnDemand {
  readonly boot: string;
  /** Running and waiting turns. */
  readonly wanted: number;
  /** How many turns it may run now, as the engine knows. */
  readonly held: number;
}

/** What a node may run of a limit that all nodes share. */
export interface TurnShare {
  /** How many turns it may have running: no new one begins above it. */
  readonly limit: number;
  /** What no other node can have: `limit`, or the turns that still run. */
  readonly held: number;
}

/**
 * Divides a limit of running turns between nodes: each gets what it wants, or an equal part if they want more than there is
 * (max-min fairness). A node gets only what the others do not hold, so together they never exceed the limit.
 *
 * @param own the node that asks
 * @param running how many turns it runs; it keeps at least these
 */
export function turnShare(limit: number, own: TurnDemand, running: number, others: readonly TurnDemand[]): TurnShare {
  const free = limit - others.reduce((sum, { held }) => sum + held, 0);
  const allowed = Math.max(0, Math.min(fairPart(limit, own, others), free));
  return { limit: allowed, held: Math.max(running, allowed) };
}

/** Returns the node's part if all nodes had to ask anew. */
function fairPart(limit: number, own: TurnDemand, others: readonly TurnDemand[]): number {
  const byWish = [own, ...others].toSorted(
    (one, other) => one.wanted - other.wanted || (one.boot < other.boot ? -1 : 1),
  );
  let left = limit;
  for (const [at, node] of byWish.entries()) {
    // Of a rest that does not divide, the later ones get more.
    const part = Math.min(node.wanted, Math.floor(left / (byWish.length - at)));
    if (node === own) return part;
    left -= part;
  }
  return 0;
}

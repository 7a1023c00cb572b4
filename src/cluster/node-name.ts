import { type Clock, pause } from "../clock.ts";
import { CastellanError } from "../errors.ts";
import { type Moment, momentOf } from "./lease.ts";
import type { Engine, NameHolder, NodeDescription } from "./protocol/engine.ts";

export interface NamingDeps {
  readonly engine: Pick<Engine, "join">;
  readonly clock: Clock;
  /** How often to look whether the name is free, in milliseconds. */
  readonly beatMs: number;
  /** Whether the node no longer wants to join. */
  isLeaving(): boolean;
}

/**
 * Joins a node under its name. If a live node has the name, waits until that one counts as dead: it may be an earlier
 * process of this node that was killed. A holder that renews its lease meanwhile is another node.
 *
 * @returns when the node asked for the lease that it got
 * @throws CastellanError `NODE_NAME_TAKEN`, `DATABASE_UNAVAILABLE`
 */
export async function joinUnderName(node: NodeDescription, deps: NamingDeps): Promise<Moment> {
  const { engine, clock, beatMs, isLeaving } = deps;
  let before: NameHolder | undefined;
  for (;;) {
    const sent = momentOf(clock);
    const holder = await engine.join(node);
    if (holder === undefined) return sent;
    if (isLeaving() || isAnother(holder, before)) throw nameTaken(node.name, holder);
    before = holder;
    await pause(clock, Math.max(1, Math.min(beatMs, holder.aliveForMs)), { background: true });
  }
}

/** Whether the name has had a living holder since the last look. */
function isAnother(holder: NameHolder, before: NameHolder | undefined): boolean {
  return before !== undefined && (holder.boot !== before.boot || holder.renewedAt > before.renewedAt);
}

function nameTaken(node: string, { address }: NameHolder): CastellanError<"NODE_NAME_TAKEN"> {
  const message = `The cluster has a live node ${JSON.stringify(node)}, at ${address}. Give this node another \`cluster.name\`, or stop that one.`;
  return new CastellanError("NODE_NAME_TAKEN", message, { details: { node, address } });
}

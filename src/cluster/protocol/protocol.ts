/**
 * The protocols between nodes that this release speaks, the lowest and the highest. Within a protocol fields and types of frames
 * may join; whoever does not know them ignores them. What an older node would misunderstand makes a new protocol.
 */
export const PROTOCOLS: readonly [lowest: number, highest: number] = [1, 1];

/** The highest protocol that both sides speak; `undefined` if there is none, because their releases are too far apart. */
export function commonProtocol(
  theirs: readonly [lowest: number, highest: number],
  ours: readonly [lowest: number, highest: number] = PROTOCOLS,
): number | undefined {
  const highest = Math.min(theirs[1], ours[1]);
  return highest >= Math.max(theirs[0], ours[0]) ? highest : undefined;
}

/** Whether `protocol` is one of those. */
export function speaks(protocols: readonly [lowest: number, highest: number], protocol: number): boolean {
  return Number.isInteger(protocol) && protocol >= protocols[0] && protocol <= protocols[1];
}

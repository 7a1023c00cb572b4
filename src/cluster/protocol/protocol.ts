/**
 * The lowest and highest protocol that this release speaks. A protocol may gain fields and frame types, which older
 * nodes ignore; a change that an older node would misread needs a new protocol.
 */
export const PROTOCOLS: readonly [lowest: number, highest: number] = [1, 1];

/** Returns the highest common protocol, or undefined if there is none. */
export function commonProtocol(
  theirs: readonly [lowest: number, highest: number],
  ours: readonly [lowest: number, highest: number] = PROTOCOLS,
): number | undefined {
  const highest = Math.min(theirs[1], ours[1]);
  return highest >= Math.max(theirs[0], ours[0]) ? highest : undefined;
}

/** Whether `protocol` is in the range. */
export function speaks(protocols: readonly [lowest: number, highest: number], protocol: number): boolean {
  return Number.isInteger(protocol) && protocol >= protocols[0] && protocol <= protocols[1];
}

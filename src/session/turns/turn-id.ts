import { createHash } from "node:crypto";

/**
 * The id of the turn that was asked for with this key: the same whenever it is asked for, so that it is found again. It has
 * the form of a UUID of version 8.
 *
 * @param session the canonical form of the session's name; each session has keys of its own
 */
export function keyedTurnId(session: string, idempotencyKey: string): string {
  const hash = createHash("sha256")
    .update(JSON.stringify([session, idempotencyKey]))
    .digest("hex");
  const variant = "89ab"[Number.parseInt(hash.charAt(16), 16) % 4];
  return [
    hash.slice(0, 8),
    hash.slice(8, 12),
    `8${hash.slice(13, 16)}`,
    `${variant}${hash.slice(17, 20)}`,
    hash.slice(20, 32),
  ].join("-");
}

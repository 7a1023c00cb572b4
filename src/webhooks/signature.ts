import { createHash, createHmac } from "node:crypto";

/** The prefix of secrets, as of Standard Webhooks. */
const PREFIX = "whsec_";

const LEAST_BYTES = 24;
const MOST_BYTES = 64;

/** Returns the key of a secret; undefined if it is none. */
export function keyOf(secret: string): Uint8Array | undefined {
  if (!secret.startsWith(PREFIX)) return undefined;
  const text = secret.slice(PREFIX.length);
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(text)) return undefined;
  const key = Buffer.from(text, "base64");
  return key.length >= LEAST_BYTES && key.length <= MOST_BYTES ? key : undefined;
}

/**
 * Returns the headers that identify and sign a request, as of Standard Webhooks.
 *
 * @param now in milliseconds since the epoch
 */
export function signedHeaders(
  id: string,
  now: number,
  body: string,
  keys: readonly Uint8Array[],
): Readonly<Record<string, string>> {
  const timestamp = Math.floor(now / 1_000);
  const signatures = keys.map(
    (key) => `v1,${createHmac("sha256", key).update(`${id}.${timestamp}.${body}`).digest("base64")}`,
  );
  return { "webhook-id": id, "webhook-timestamp": String(timestamp), "webhook-signature": signatures.join(" ") };
}

/** An event as a receiver gets it. */
interface Identified {
  readonly endpoint: string;
  readonly session: string;
  readonly number: number;
  readonly at: number;
}

/**
 * Returns the id of the request about an event, the same for each attempt. The time tells two sessions apart that had the
 * same name one after the other.
 */
export function webhookId({ endpoint, session, number, at }: Identified): string {
  return `msg_${createHash("sha256")
    .update(JSON.stringify([endpoint, session, number, at]))
    .digest("base64url")
    .slice(0, 27)}`;
}

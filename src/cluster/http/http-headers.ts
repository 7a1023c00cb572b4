/**
 * Headers of requests between nodes and of their answers. The signature covers all but the seal; see `signature.ts`.
 */
export const HEADERS = {
  /** When the request was signed, in milliseconds since the epoch. */
  at: "castellan-at",
  /** Unique per request. */
  nonce: "castellan-nonce",
  /** The run of the node that the request is for. */
  to: "castellan-to",
  protocol: "castellan-protocol",
  /** SHA-256 of the body, as hexadecimal. */
  digest: "castellan-digest",
  signature: "castellan-signature",
  /** In the answer: proves that the sender knows the secret and has seen this very request. */
  seal: "castellan-seal",
} as const;

/** Prefix of all routes between nodes. */
export const ROOT = "/castellan/v1";

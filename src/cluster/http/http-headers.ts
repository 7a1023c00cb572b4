/** The headers of requests between nodes, and of answers. All but the seal are signed; see `signature.ts`. */
export const HEADERS = {
  /** When the request was signed, in milliseconds since the epoch. */
  at: "castellan-at",
  /** What no other request has. */
  nonce: "castellan-nonce",
  /** The run of a node that the request is meant for. */
  to: "castellan-to",
  protocol: "castellan-protocol",
  /** SHA-256 of the body, in hexadecimal digits. */
  digest: "castellan-digest",
  signature: "castellan-signature",
  /** In the answer: shows that whoever answers has the secret and has seen this very request. */
  seal: "castellan-seal",
} as const;

/** What all routes between nodes begin with. */
export const ROOT = "/castellan/v1";

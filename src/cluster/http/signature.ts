import { createHash, createHmac, createSecretKey, type KeyObject, timingSafeEqual } from "node:crypto";
import { CastellanError } from "../../errors.ts";

/**
 * The shared secret of a cluster: a string of at least 32 characters, or several, of which the first one signs and all
 * are accepted.
 *
 * To rotate it without downtime, restart the nodes one by one, three times: with `[old, new]`, with `[new, old]`, with
 * `new`.
 */
export type ClusterSecret = string | readonly string[];

/** Minimum length of a secret, in characters. */
const SHORTEST_SECRET = 32;

/** The signed parts of a request. None may contain a line feed. */
export interface SignedRequest {
  readonly method: string;
  readonly path: string;
  /** Signing time, in milliseconds since the epoch. */
  readonly at: string;
  /** Unique per request. */
  readonly nonce: string;
  /** The run of the node that the request is for. */
  readonly to: string;
  readonly protocol: string;
  /** SHA-256 of the body; see {@link digestOf}. */
  readonly digest: string;
}

/** The sealed parts of an answer. */
export interface SealedAnswer {
  /** The nonce of the request. */
  readonly nonce: string;
  readonly status: number;
  /** SHA-256 of a refusal's body; of an empty body for any other answer. */
  readonly digest: string;
}

/** Signs and checks requests between nodes. Signatures are HMAC-SHA256 in hexadecimal, compared in constant time. */
export class Keyring {
  readonly #keys: readonly [KeyObject, ...KeyObject[]];

  /**
   * @throws CastellanError `INVALID_OPTIONS` if there is no secret or one is too short. No message contains a secret.
   */
  constructor(secret: ClusterSecret) {
    const [first, ...others] = typeof secret === "string" ? [secret] : secret;
    if (first === undefined) throw invalid("give at least one");
    this.#keys = [keyOf(first), ...others.map(keyOf)];
  }

  sign(request: SignedRequest): string {
    return hmac(this.#keys[0], textOfRequest(request)).toString("hex");
  }

  /** Returns the key that signed the request, or undefined. */
  signerOf(request: SignedRequest, signature: string): KeyObject | undefined {
    return this.#keyOf(textOfRequest(request), signature);
  }

  /** Binds an answer to its request with the key that signed the request; with the first key if none did. */
  seal(answer: SealedAnswer, key: KeyObject = this.#keys[0]): string {
    return hmac(key, textOfAnswer(answer)).toString("hex");
  }

  /** Whether the sender of the answer knows a secret and has seen the request. */
  isSealed(answer: SealedAnswer, seal: string): boolean {
    return this.#keyOf(textOfAnswer(answer), seal) !== undefined;
  }

  #keyOf(text: string, signature: string): KeyObject | undefined {
    // `Buffer.from` ignores an incomplete byte at the end.
    if (signature.length !== 64) return undefined;
    const given = Buffer.from(signature, "hex");
    return this.#keys.find((key) => {
      const wanted = hmac(key, text);
      return given.length === wanted.length && timingSafeEqual(given, wanted);
    });
  }
}

/** Returns the SHA-256 as hexadecimal. */
export function digestOf(body: Uint8Array | string): string {
  return createHash("sha256").update(body).digest("hex");
}

function keyOf(secret: string): KeyObject {
  if (typeof secret !== "string") throw invalid("each must be a string");
  if (secret.length < SHORTEST_SECRET) {
    throw invalid(
      `one has ${secret.length} characters; use at least ${SHORTEST_SECRET}, for instance from \`openssl rand -hex 32\``,
    );
  }
  return createSecretKey(secret, "utf8");
}

function invalid(message: string): CastellanError<"INVALID_OPTIONS"> {
  return new CastellanError("INVALID_OPTIONS", `The secret of the cluster: ${message}.`, {
    details: { problems: [{ field: "cluster.secret", message }] },
  });
}

function hmac(key: KeyObject, text: string): Buffer {
  return createHmac("sha256", key).update(text).digest();
}

/** The first line keeps signatures of requests and of answers apart. */
function textOfRequest({ method, path, at, nonce, to, protocol, digest }: SignedRequest): string {
  return ["castellan request 1", method, path, at, nonce, to, protocol, digest].join("\n");
}

function textOfAnswer({ nonce, status, digest }: SealedAnswer): string {
  return ["castellan answer 1", nonce, status, digest].join("\n");
}

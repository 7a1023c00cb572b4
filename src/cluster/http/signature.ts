import { createHash, createHmac, createSecretKey, type KeyObject, timingSafeEqual } from "node:crypto";
import { CastellanError } from "../../errors.ts";

/**
 * What the nodes of a cluster have in common and nobody else has: a string of at least 32 characters, or several of which the
 * first signs and all are accepted.
 *
 * To change it without a pause, restart the nodes one by one, three times: with `[old, new]`, with `[new, old]`, with `new`.
 */
export type ClusterSecret = string | readonly string[];

/** The shortest secret, in characters. */
const SHORTEST_SECRET = 32;

/** What of a request is signed. None of it may contain a line feed. */
export interface SignedRequest {
  readonly method: string;
  readonly path: string;
  /** When it is signed, in milliseconds since the epoch. */
  readonly at: string;
  /** What no other request has. */
  readonly nonce: string;
  /** The run of a node that it is meant for. */
  readonly to: string;
  readonly protocol: string;
  /** SHA-256 of the body, see {@link digestOf}. */
  readonly digest: string;
}

/** What of an answer is sealed. */
export interface SealedAnswer {
  /** That of the request. */
  readonly nonce: string;
  readonly status: number;
  /** SHA-256 of the body of a refusal, of nothing for any other answer. */
  readonly digest: string;
}

/**
 * Signs what nodes ask each other, and checks what they are asked. Signatures are HMAC-SHA256 in hexadecimal digits; they are
 * compared in constant time.
 */
export class Keyring {
  readonly #keys: readonly [KeyObject, ...KeyObject[]];

  /** @throws CastellanError `INVALID_OPTIONS` if there is no secret, or one is too short; no message tells one */
  constructor(secret: ClusterSecret) {
    const [first, ...others] = typeof secret === "string" ? [secret] : secret;
    if (first === undefined) throw invalid("give at least one");
    this.#keys = [keyOf(first), ...others.map(keyOf)];
  }

  sign(request: SignedRequest): string {
    return hmac(this.#keys[0], textOfRequest(request)).toString("hex");
  }

  /** Which of the secrets the request is signed with; `undefined` if with none of them. */
  signerOf(request: SignedRequest, signature: string): KeyObject | undefined {
    return this.#keyOf(textOfRequest(request), signature);
  }

  /** Binds an answer to its request, with the secret that has signed that one; with the first if none has. */
  seal(answer: SealedAnswer, key: KeyObject = this.#keys[0]): string {
    return hmac(key, textOfAnswer(answer)).toString("hex");
  }

  /** Whether whoever answers has one of the secrets and has seen the request. */
  isSealed(answer: SealedAnswer, seal: string): boolean {
    return this.#keyOf(textOfAnswer(answer), seal) !== undefined;
  }

  #keyOf(text: string, signature: string): KeyObject | undefined {
    // Half a digit at the end would go unnoticed otherwise.
    if (signature.length !== 64) return undefined;
    const given = Buffer.from(signature, "hex");
    return this.#keys.find((key) => {
      const wanted = hmac(key, text);
      return given.length === wanted.length && timingSafeEqual(given, wanted);
    });
  }
}

/** SHA-256 in hexadecimal digits. */
export function digestOf(body: Uint8Array | string): string {
  return createHash("sha256").update(body).digest("hex");
}

function keyOf(secret: string): KeyObject {
  if (typeof secret !== "string") throw invalid("each of them is a string");
  if (secret.length < SHORTEST_SECRET) {
    throw invalid(
      `one of ${secret.length} characters; use at least ${SHORTEST_SECRET}, such as \`openssl rand -hex 32\` makes`,
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

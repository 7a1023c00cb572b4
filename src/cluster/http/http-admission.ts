import type { KeyObject } from "node:crypto";
import type { Clock } from "../../clock.ts";
import { PROTOCOLS, speaks } from "../protocol/protocol.ts";
import { ByteBudget } from "./byte-budget.ts";
import { HEADERS } from "./http-headers.ts";
import { Nonces } from "./http-nonces.ts";
import { REFUSALS, type Refusal } from "./http-refusal.ts";
import { digestOf, type Keyring } from "./signature.ts";

/** Maximum difference between the clocks of two nodes, in milliseconds. */
const SKEW_MS = 30_000;

/** Maximum number of nonces to remember: about 8,000 requests per second. */
const NONCES = 500_000;

/** Maximum length of a nonce, in characters. */
const LONGEST_NONCE = 128;

/** The problem of a request that is dated before the node's memory of nonces. */
const SET_BACK =
  "the node's clock has been set back, so the node cannot tell whether this request is a replay; it accepts requests again once its clock has caught up or after a restart";

export interface AdmissionDeps {
  readonly keyring: Keyring;
  readonly clock: Clock;
  /** The run of the node that requests must name. */
  readonly boot: () => string;
  readonly release: string;
  /** Maximum size of a request, in bytes. */
  readonly maxRequestBytes: number;
  /** Maximum size of all requests that are being read, in bytes. */
  readonly maxUnreadBytes: number;
}

/** The sender of a request, for binding the answer to it. */
export interface Asker {
  readonly nonce: string;
  /** The key that signed the request; undefined if unknown. */
  readonly key: KeyObject | undefined;
}

/** Checks requests of other nodes. It refuses from the headers alone where it can, before it reads a body. */
export class Admission {
  readonly #deps: AdmissionDeps;
  readonly #nonces: Nonces;
  readonly #budget: ByteBudget;

  constructor(deps: AdmissionDeps) {
    this.#deps = deps;
    // A request dated ahead of our clock stays valid for twice the allowed difference.
    this.#nonces = new Nonces(deps.clock, 2 * SKEW_MS, NONCES);
    this.#budget = new ByteBudget(deps.maxUnreadBytes);
  }

  /** Checks the headers of a request. */
  check(method: string, path: string, headers: Headers): { readonly asker: Asker; readonly refusal?: Refusal } {
    const { keyring, clock, boot, release, maxRequestBytes } = this.#deps;
    const given = (name: keyof typeof HEADERS): string => headers.get(HEADERS[name]) ?? "";
    const [at, nonce, to, protocol, digest] = [
      given("at"),
      given("nonce"),
      given("to"),
      given("protocol"),
      given("digest"),
    ];
    const key = keyring.signerOf({ method, path, at, nonce, to, protocol, digest }, given("signature"));
    const asker = { nonce, key };
    if (key === undefined) return { asker, refusal: { reason: "unauthentic", problem: "signature" } };
    const aheadMs = Number(at) - clock.now();
    if (!(Math.abs(aheadMs) <= SKEW_MS)) return { asker, refusal: { reason: "skewed", aheadMs, limit: SKEW_MS } };
    if (to !== boot()) return { asker, refusal: { reason: "elsewhere" } };
    if (!speaks(PROTOCOLS, Number(protocol))) {
      return { asker, refusal: { reason: "protocol", protocols: PROTOCOLS, release } };
    }
    if (Number(headers.get("content-length")) > maxRequestBytes) return { asker, refusal: this.#tooLarge() };
    if (nonce === "" || nonce.length > LONGEST_NONCE) {
      return { asker, refusal: { reason: "malformed", problem: "its nonce is missing or too long" } };
    }
    const taken = this.#nonces.take(nonce, Number(at));
    if (taken === "seen") return { asker, refusal: { reason: "replayed" } };
    if (taken === "late") return { asker, refusal: { reason: "replayed", problem: SET_BACK } };
    if (taken === "full") return { asker, refusal: { reason: "busy", limit: NONCES } };
    return { asker };
  }

  /** Reads the body of a request up to the limit, and checks it against the signed digest. */
  async read(request: Request): Promise<{ readonly value: unknown } | { readonly refusal: Refusal }> {
    const pieces: Uint8Array[] = [];
    let size = 0;
    const reader = request.body?.getReader();
    try {
      for (;;) {
        const piece = await reader?.read();
        if (piece === undefined || piece.done) break;
        const { length } = piece.value;
        if (size + length > this.#deps.maxRequestBytes) return { refusal: this.#tooLarge() };
        if (!this.#budget.take(length)) return { refusal: { reason: "busy", limit: this.#budget.limit } };
        size += length;
        pieces.push(piece.value);
      }
      return parsed(Buffer.concat(pieces.splice(0), size), request.headers.get(HEADERS.digest));
    } finally {
      this.#budget.give(size);
    }
  }

  /**
   * Builds the answer that refuses a request. Only answers to a signed request are sealed: a stranger gets no seal to
   * test secrets on.
   */
  refuse({ nonce, key }: Asker, refusal: Refusal): Response {
    const status = REFUSALS[refusal.reason];
    const text = JSON.stringify(refusal);
    const headers = { "content-type": "application/json" };
    if (key === undefined) return new Response(text, { status, headers });
    const seal = this.#deps.keyring.seal({ nonce, status, digest: digestOf(text) }, key);
    return new Response(text, { status, headers: { ...headers, [HEADERS.seal]: seal } });
  }

  /** Returns the seal of an answer that accepts the request. */
  sealOf({ nonce, key }: Asker): string {
    return this.#deps.keyring.seal({ nonce, status: 200, digest: digestOf("") }, key);
  }

  #tooLarge(): Refusal {
    return { reason: "too_large", limit: this.#deps.maxRequestBytes };
  }
}

/** Parses a body after checking it against the signed digest. */
function parsed(body: Buffer, digest: string | null): { readonly value: unknown } | { readonly refusal: Refusal } {
  if (digestOf(body) !== digest) {
    return { refusal: { reason: "unauthentic", problem: "its body does not match its signature" } };
  }
  try {
    return { value: JSON.parse(body.toString("utf8")) };
  } catch {
    return { refusal: { reason: "malformed", problem: "its body is not JSON" } };
  }
}

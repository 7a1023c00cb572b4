import type { KeyObject } from "node:crypto";
import type { Clock } from "../../clock.ts";
import { PROTOCOLS, speaks } from "../protocol/protocol.ts";
import { HEADERS } from "./http-headers.ts";
import { Nonces } from "./http-nonces.ts";
import { REFUSALS, type Refusal } from "./http-refusal.ts";
import { digestOf, type Keyring } from "./signature.ts";

/** By how much the clocks of two nodes may differ, in milliseconds. */
const SKEW_MS = 30_000;

/** How many requests are remembered, so that none is taken twice: some 8,000 a second. */
const NONCES = 500_000;

/** The longest nonce that is remembered, in characters. */
const LONGEST_NONCE = 128;

/** Of a request that was signed at a time that was over by the node's clock. */
const SET_BACK =
  "the clock of the node has been set back, so that it cannot tell this request from one that it had before; it takes requests again when its clock has caught up, or when it is restarted";

export interface AdmissionDeps {
  readonly keyring: Keyring;
  readonly clock: Clock;
  /** The run of the node, which requests have to be meant for. */
  readonly boot: () => string;
  readonly release: string;
  /** How large a request may be, in bytes. */
  readonly maxRequestBytes: number;
}

/** Who asked, as far as an answer is bound to it. */
export interface Asker {
  readonly nonce: string;
  /** What the request is signed with; `undefined` if that is not known. */
  readonly key: KeyObject | undefined;
}

/** Checks the requests of other nodes. What is wrong with one is told from its head, before anything of its body is read. */
export class Admission {
  readonly #deps: AdmissionDeps;
  readonly #nonces: Nonces;

  constructor(deps: AdmissionDeps) {
    this.#deps = deps;
    // One that was signed ahead of our time stays good for twice as long as may be between the clocks.
    this.#nonces = new Nonces(deps.clock, 2 * SKEW_MS, NONCES);
  }

  /** Looks at the head of a request. */
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
      return { asker, refusal: { reason: "malformed", problem: "its nonce is none" } };
    }
    const taken = this.#nonces.take(nonce, Number(at));
    if (taken === "seen") return { asker, refusal: { reason: "replayed" } };
    if (taken === "late") return { asker, refusal: { reason: "replayed", problem: SET_BACK } };
    if (taken === "full") return { asker, refusal: { reason: "busy", limit: NONCES } };
    return { asker };
  }

  /** Reads the body of a request, no more of it than it may have, and checks that it is what was signed. */
  async read(request: Request): Promise<{ readonly value: unknown } | { readonly refusal: Refusal }> {
    const pieces: Uint8Array[] = [];
    let size = 0;
    const reader = request.body?.getReader();
    for (;;) {
      const piece = await reader?.read();
      if (piece === undefined || piece.done) break;
      size += piece.value.length;
      if (size > this.#deps.maxRequestBytes) return { refusal: this.#tooLarge() };
      pieces.push(piece.value);
    }
    const body = Buffer.concat(pieces, size);
    if (digestOf(body) !== request.headers.get(HEADERS.digest)) {
      return { refusal: { reason: "unauthentic", problem: "its body is not what was signed" } };
    }
    try {
      return { value: JSON.parse(body.toString("utf8")) };
    } catch {
      return { refusal: { reason: "malformed", problem: "its body is no JSON" } };
    }
  }

  /** The answer that refuses a request. Nothing that a stranger chooses is sealed, so that he gets nothing to try secrets on. */
  refuse({ nonce, key }: Asker, refusal: Refusal): Response {
    const status = REFUSALS[refusal.reason];
    const text = JSON.stringify(refusal);
    const headers = { "content-type": "application/json" };
    if (key === undefined) return new Response(text, { status, headers });
    const seal = this.#deps.keyring.seal({ nonce, status, digest: digestOf(text) }, key);
    return new Response(text, { status, headers: { ...headers, [HEADERS.seal]: seal } });
  }

  /** The head of an answer that takes a request up. */
  sealOf({ nonce, key }: Asker): string {
    return this.#deps.keyring.seal({ nonce, status: 200, digest: digestOf("") }, key);
  }

  #tooLarge(): Refusal {
    return { reason: "too_large", limit: this.#deps.maxRequestBytes };
  }
}

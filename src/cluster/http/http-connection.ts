import { once } from "node:events";
import { type Agent, type ClientRequest, request as httpRequest, type IncomingMessage } from "node:http";
import { request as httpsRequest } from "node:https";
import type { Clock, Timer } from "../../clock.ts";
import { formatDuration } from "../../duration.ts";
import { type Destination, Unreachable } from "../protocol/transport.ts";
import { nodeAt } from "./http-refusal.ts";

export interface HttpConnectionDeps {
  readonly clock: Clock;
  /** For `http:` addresses, and for `https:` ones. */
  readonly agents: { readonly http: Agent; readonly https: Agent };
  /** How long is waited until the connection is there, in milliseconds. */
  readonly connectMs: number;
  /** How long is waited until the node says something, or takes something of what is sent, in milliseconds. */
  readonly silenceMs: number;
}

/** How much of a body is handed over at a time, in bytes. */
const PIECE = 65_536;

/**
 * One request to a node and its answer. Whatever goes wrong makes it reject with `Unreachable`, except that the caller's signal
 * makes it reject with the signal's reason. It has to be disposed of.
 *
 * Made with `node:http`, which tells when the connection is there: `fetch` does not say whether anything can have been sent, and
 * sends a request once more where an answer suggests it.
 */
export class HttpConnection implements Disposable {
  readonly #to: Destination;
  readonly #signal: AbortSignal;
  readonly #deps: HttpConnectionDeps;
  readonly #onAbort = (): void => this.#break(this.#signal.reason);
  #request: ClientRequest | undefined;
  #response: IncomingMessage | undefined;
  #timer: Timer | undefined;
  /** Whether something may have been sent. */
  #sent = false;
  /** Why we have broken it, if we have. */
  #broken: { readonly reason: unknown } | undefined;

  /** @throws the signal's reason if it is aborted already */
  constructor(to: Destination, signal: AbortSignal, deps: HttpConnectionDeps) {
    signal.throwIfAborted();
    this.#to = to;
    this.#signal = signal;
    this.#deps = deps;
    signal.addEventListener("abort", this.#onAbort);
  }

  /** Sends a request; resolves with the head of the answer. */
  async post(path: string, headers: Readonly<Record<string, string>>, body: Uint8Array): Promise<IncomingMessage> {
    const { connectMs } = this.#deps;
    this.#expect(
      connectMs,
      `there is no connection after ${formatDuration(connectMs)}. See whether it runs, and firewalls.`,
    );
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
    try {
      this.#request = this.#open(path, { ...headers, "content-length": String(body.length) });
      this.#request.on("response", resolve).on("error", reject);
      void this.#upload(this.#request, body).catch(reject);
      this.#response = await promise;
      return this.#response;
    } catch (error) {
      throw this.#fault(error);
    } finally {
      this.#timer?.cancel();
    }
  }

  /** The body of the answer. Little is read ahead: 64 kB, and what the operating system holds. */
  async *pieces(response: IncomingMessage): AsyncGenerator<Uint8Array, void, undefined> {
    const iterator = response[Symbol.asyncIterator]();
    for (;;) {
      this.#expectWord();
      let next: IteratorResult<Uint8Array, unknown>;
      try {
        next = await iterator.next();
      } catch (error) {
        throw this.#fault(error);
      } finally {
        this.#timer?.cancel();
      }
      if (next.done) return;
      yield next.value;
    }
  }

  /** The body of a short answer, which has to be there within the time for one word; `undefined` if it is longer than `mostBytes`. */
  async short(response: IncomingMessage, mostBytes: number): Promise<Uint8Array | undefined> {
    const pieces: Uint8Array[] = [];
    let size = 0;
    this.#expectWord();
    try {
      for await (const piece of response as AsyncIterable<Uint8Array>) {
        size += piece.length;
        if (size > mostBytes) return undefined;
        pieces.push(piece);
      }
      return Buffer.concat(pieces, size);
    } catch (error) {
      throw this.#fault(error);
    } finally {
      this.#timer?.cancel();
    }
  }

  /** Breaks it, because this machine does not want it any more. */
  close(): void {
    this.#break(this.unreachable("this machine has closed its connections to other nodes."));
  }

  /** What `reason` is about this node. `unsent` if it is certain that the node has not got the request. */
  unreachable(reason: string, options: { readonly unsent?: boolean; readonly cause?: unknown } = {}): Unreachable {
    return new Unreachable(`${nodeAt(this.#to)}: ${reason}`, options);
  }

  [Symbol.dispose](): void {
    this.#timer?.cancel();
    this.#signal.removeEventListener("abort", this.#onAbort);
    // A connection whose answer has been read to its end serves the next request.
    if (this.#response?.readableEnded !== true) this.#request?.destroy();
  }

  #open(path: string, headers: Readonly<Record<string, string>>): ClientRequest {
    const url = new URL(this.#to.address.replace(/\/+$/, "") + path);
    const secure = url.protocol === "https:";
    const options = { method: "POST", headers, agent: secure ? this.#deps.agents.https : this.#deps.agents.http };
    const request = secure ? httpsRequest(url, options) : httpRequest(url, options);
    const connected = (): void => {
      this.#sent = true;
      this.#expectWord();
    };
    request.once("socket", (socket) => {
      if (request.reusedSocket) connected();
      else socket.once(secure ? "secureConnect" : "connect", connected);
    });
    return request;
  }

  async #upload(request: ClientRequest, body: Uint8Array): Promise<void> {
    for (let from = 0; from < body.length && !request.destroyed; from += PIECE) {
      if (request.write(body.subarray(from, from + PIECE))) continue;
      await once(request, "drain");
      if (this.#response === undefined) this.#expectWord();
    }
    request.end();
  }

  #expectWord(): void {
    const { silenceMs } = this.#deps;
    this.#expect(
      silenceMs,
      `it has said nothing for ${formatDuration(silenceMs)}. It hangs, or the network between is gone.`,
    );
  }

  #expect(ms: number, otherwise: string): void {
    this.#timer?.cancel();
    const late = (): void => this.#break(this.unreachable(otherwise, { unsent: !this.#sent }));
    this.#timer = this.#deps.clock.schedule(ms, late, { background: true });
  }

  #break(reason: unknown): void {
    this.#broken ??= { reason };
    this.#request?.destroy();
  }

  /** What an error of the connection means. */
  #fault(error: unknown): unknown {
    if (this.#broken !== undefined) return this.#broken.reason;
    const what = this.#sent ? "the connection is broken" : "there is no connection";
    return this.unreachable(`${what}: ${explained(error)}.`, { unsent: !this.#sent, cause: error });
  }
}

/** Some errors have no message but a code: that neither address of a name answers, for one. */
function explained(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const code = "code" in error && typeof error.code === "string" ? error.code : undefined;
  if (error.message === "") return code ?? error.name;
  return code === undefined || error.message.includes(code) ? error.message : `${error.message} (${code})`;
}

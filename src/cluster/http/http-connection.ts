import { once } from "node:events";
import { type Agent, type ClientRequest, request as httpRequest, type IncomingMessage } from "node:http";
import { request as httpsRequest } from "node:https";
import type { Clock, Timer } from "../../clock.ts";
import { formatDuration } from "../../duration.ts";
import { type Destination, Unreachable } from "../protocol/transport.ts";
import { certificateOf, nodeAt, withoutTls } from "./http-refusal.ts";
import { certificateFault, isTlsFault } from "./tls-fault.ts";

export interface HttpConnectionDeps {
  readonly clock: Clock;
  /** Returns the agent for `http:` or `https:` addresses. */
  readonly agent: (secure: boolean) => Agent;
  /** Connect timeout, in milliseconds. */
  readonly connectMs: number;
  /** How long the node may neither send nor receive anything, in milliseconds. */
  readonly silenceMs: number;
}

/** Size of the chunks in which a body is written, in bytes. */
const PIECE = 65_536;

/**
 * One request to a node, and its answer. It rejects with `Unreachable` on any failure, and with the signal's reason
 * once the signal is aborted. Dispose of it after use.
 *
 * It uses `node:http` rather than `fetch`: `fetch` does not tell whether a failed request was sent, and resends a
 * request when an answer suggests it.
 */
export class HttpConnection implements Disposable {
  readonly #to: Destination;
  readonly #signal: AbortSignal;
  readonly #deps: HttpConnectionDeps;
  readonly #onAbort = (): void => this.#break(this.#signal.reason);
  #request: ClientRequest | undefined;
  #response: IncomingMessage | undefined;
  #timer: Timer | undefined;
  /** Whether the request may have been sent. */
  #sent = false;
  /** Why this side closed the connection, if it did. */
  #broken: { readonly reason: unknown } | undefined;

  /** @throws the signal's reason if it is already aborted */
  constructor(to: Destination, signal: AbortSignal, deps: HttpConnectionDeps) {
    signal.throwIfAborted();
    this.#to = to;
    this.#signal = signal;
    this.#deps = deps;
    signal.addEventListener("abort", this.#onAbort);
  }

  /** Sends a request. Resolves with the head of the answer. */
  async post(path: string, headers: Readonly<Record<string, string>>, body: Uint8Array): Promise<IncomingMessage> {
    const { connectMs } = this.#deps;
    this.#expect(
      connectMs,
      `no connection after ${formatDuration(connectMs)}. Check that the node runs, and check the firewalls.`,
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

  /** Yields the body of the answer. Reads ahead at most 64 kB plus the system's socket buffer. */
  async *pieces(response: IncomingMessage): AsyncGenerator<Uint8Array, void, undefined> {
    const iterator = response[Symbol.asyncIterator]();
    for (;;) {
      this.#expectProgress();
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

  /** Reads a short body within the silence timeout. Returns undefined if it is longer than `mostBytes`. */
  async short(response: IncomingMessage, mostBytes: number): Promise<Uint8Array | undefined> {
    const pieces: Uint8Array[] = [];
    let size = 0;
    this.#expectProgress();
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

  /** Closes the connection from this side. */
  close(): void {
    this.#break(this.unreachable("this process has closed its connections to other nodes."));
  }

  /** Returns the error for this node. `unsent` means that the node certainly has not received the request. */
  unreachable(reason: string, options: { readonly unsent?: boolean; readonly cause?: unknown } = {}): Unreachable {
    return new Unreachable(`${nodeAt(this.#to)}: ${reason}`, options);
  }

  [Symbol.dispose](): void {
    this.#timer?.cancel();
    this.#signal.removeEventListener("abort", this.#onAbort);
    // A fully read answer leaves the socket free for the next request.
    if (this.#response?.readableEnded !== true) this.#request?.destroy();
  }

  #open(path: string, headers: Readonly<Record<string, string>>): ClientRequest {
    const url = new URL(this.#to.address.replace(/\/+$/, "") + path);
    const secure = url.protocol === "https:";
    const options = { method: "POST", headers, agent: this.#deps.agent(secure) };
    const request = secure ? httpsRequest(url, options) : httpRequest(url, options);
    const connected = (): void => {
      this.#sent = true;
      this.#expectProgress();
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
      if (this.#response === undefined) this.#expectProgress();
    }
    request.end();
  }

  #expectProgress(): void {
    const { silenceMs } = this.#deps;
    this.#expect(
      silenceMs,
      `no sign of life for ${formatDuration(silenceMs)}. The node hangs, or the network is down.`,
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

  /** Returns the error that describes a failure of the connection. */
  #fault(error: unknown): unknown {
    if (this.#broken !== undefined) return this.#broken.reason;
    if (!this.#sent) {
      const code = certificateFault(error);
      if (code !== undefined) return certificateOf(this.#to, code, explained(error));
      if (isTlsFault(error)) return withoutTls(this.#to, explained(error));
    }
    const what = this.#sent ? "the connection broke" : "the connection failed";
    return this.unreachable(`${what}: ${explained(error)}.`, { unsent: !this.#sent, cause: error });
  }
}

/** Some errors have a code but no message, such as the one when all addresses of a name fail. */
function explained(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const code = "code" in error && typeof error.code === "string" ? error.code : undefined;
  if (error.message === "") return code ?? error.name;
  return code === undefined || error.message.includes(code) ? error.message : `${error.message} (${code})`;
}

import { Agent, type IncomingMessage } from "node:http";
import { Agent as SecureAgent } from "node:https";
import type { Clock } from "../../clock.ts";
import type { CallAnswer, CallRequest, EventFrame, EventsRequest, TurnFrame, TurnRequest } from "../protocol/frames.ts";
import { PROTOCOLS, speaks } from "../protocol/protocol.ts";
import { type Destination, type Transport, Unreachable } from "../protocol/transport.ts";
import { isOver, readCallAnswer, readEventFrame, readTurnFrame } from "../protocol/wire.ts";
import { HttpConnection, type HttpConnectionDeps } from "./http-connection.ts";
import { HEADERS, ROOT } from "./http-headers.ts";
import { noCommonProtocol, nodeAt, readRefusal, refused, unproven, withoutTls } from "./http-refusal.ts";
import { JsonLines } from "./json-lines.ts";
import { type ClusterSecret, digestOf, Keyring } from "./signature.ts";
import type { TlsIdentity } from "./tls-credentials.ts";

export interface HttpTransportOptions {
  /** The same on every machine; see {@link ClusterSecret}. */
  readonly secret: ClusterSecret;
  readonly clock: Clock;
  /** Returns a unique id, such as `randomUUID` does. */
  readonly newId: () => string;
  /** Connect timeout, in milliseconds. Default 2,000. */
  readonly connectMs?: number;
  /** Silence after which a connection counts as broken, in milliseconds. Default 6,000: three pings. */
  readonly silenceMs?: number;
  /** Maximum size of one frame or answer, in bytes. Default 256 MB. */
  readonly maxLineBytes?: number;
  /** Certificates of both sides. Default: none, and `https:` is for nodes behind a proxy. The caller disposes of it. */
  readonly tls?: TlsIdentity | undefined;
}

/** Maximum size of a refusal, in bytes. */
const REFUSAL_LIMIT = 65_536;

const NOTHING = digestOf("");

/**
 * Sends requests to the nodes that `serveRequests` serves. It signs requests, and accepts only answers that are sealed
 * with the secret. It encrypts only with `tls`, and then sends nothing to nodes without.
 *
 * A refused request rejects with {@link Refused}, an `Unreachable` with a reason.
 *
 * @throws CastellanError `INVALID_OPTIONS` if the secret is invalid
 */
export function httpTransport(options: HttpTransportOptions): Transport {
  return new HttpTransport(options);
}

class HttpTransport implements Transport {
  readonly #options: HttpTransportOptions;
  readonly #keyring: Keyring;
  readonly #deps: HttpConnectionDeps;
  readonly #maxLineBytes: number;
  readonly #connections = new Set<HttpConnection>();
  readonly #plainAgent = new Agent({ keepAlive: true });
  #secureAgent: Agent;
  /** The files that the agent uses. */
  #version: object | undefined;
  #closed = false;

  constructor(options: HttpTransportOptions) {
    const { secret, connectMs = 2_000, silenceMs = 6_000, maxLineBytes = 256 * 1024 ** 2 } = options;
    this.#options = options;
    this.#keyring = new Keyring(secret);
    this.#secureAgent = options.tls?.agent() ?? new SecureAgent({ keepAlive: true });
    this.#version = options.tls?.version;
    const agent = (secure: boolean): Agent => (secure ? this.#secure() : this.#plainAgent);
    this.#deps = { clock: options.clock, agent, connectMs, silenceMs };
    this.#maxLineBytes = maxLineBytes;
  }

  async *turn(to: Destination, request: TurnRequest, signal: AbortSignal): AsyncGenerator<TurnFrame, void, undefined> {
    for await (const line of this.#lines(to, `${ROOT}/turn`, request, signal)) {
      const frame = parsed(to, () => readTurnFrame(line));
      if (frame !== undefined) yield frame;
    }
  }

  async *events(
    to: Destination,
    request: EventsRequest,
    signal: AbortSignal,
  ): AsyncGenerator<EventFrame, void, undefined> {
    for await (const line of this.#lines(to, `${ROOT}/events`, request, signal)) {
      const frame = parsed(to, () => readEventFrame(line));
      if (frame !== undefined) yield frame;
    }
  }

  async call(to: Destination, request: CallRequest, signal: AbortSignal): Promise<CallAnswer> {
    const [line] = await Array.fromAsync(this.#lines(to, `${ROOT}/call`, request, signal));
    return parsed(to, () => readCallAnswer(line));
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const connection of this.#connections) connection.close();
    for (const agent of [this.#plainAgent, this.#secureAgent]) agent.destroy();
  }

  /** Returns an agent with the current files. Connections of the one before end with their requests. */
  #secure(): Agent {
    const { tls } = this.#options;
    if (tls === undefined || tls.version === this.#version) return this.#secureAgent;
    const before = this.#secureAgent;
    before.maxFreeSockets = 0;
    for (const socket of Object.values(before.freeSockets).flat()) socket?.destroy();
    this.#secureAgent = tls.agent();
    this.#version = tls.version;
    return this.#secureAgent;
  }

  /** Yields the lines of an answer without the last one, which marks the answer as complete. */
  async *#lines(
    to: Destination,
    path: string,
    request: unknown,
    signal: AbortSignal,
  ): AsyncGenerator<unknown, void, undefined> {
    using connection = new HttpConnection(to, signal, this.#deps);
    if (this.#closed) throw connection.unreachable("this process has closed its connections.", { unsent: true });
    if (!speaks(PROTOCOLS, to.protocol)) throw noCommonProtocol(to);
    if (this.#options.tls !== undefined && !to.address.startsWith("https:")) throw withoutTls(to);
    this.#connections.add(connection);
    try {
      const response = await this.#post(connection, to, path, Buffer.from(JSON.stringify(request)));
      const lines = new JsonLines(this.#maxLineBytes);
      let over = false;
      // Reads to the end, so that the connection can serve another request.
      for await (const piece of connection.pieces(response)) {
        for (const line of parsed(to, () => lines.push(piece))) {
          over ||= isOver(line);
          if (!over) yield line;
        }
      }
      if (!over) throw connection.unreachable("its answer ended before it was complete.");
    } finally {
      this.#connections.delete(connection);
    }
  }

  /** @returns the answer of a node that knows the secret and accepts the request */
  async #post(connection: HttpConnection, to: Destination, path: string, body: Uint8Array): Promise<IncomingMessage> {
    const { clock, newId } = this.#options;
    const nonce = newId();
    const signed = {
      method: "POST",
      path,
      at: String(clock.now()),
      nonce,
      to: to.boot,
      protocol: String(to.protocol),
      digest: digestOf(body),
    };
    const response = await connection.post(path, this.#headers(signed), body);
    const status = response.statusCode ?? 0;
    const seal = String(response.headers[HEADERS.seal]);
    if (status === 200) {
      if (this.#keyring.isSealed({ nonce, status, digest: NOTHING }, seal)) return response;
      throw unproven(to, status, undefined);
    }
    const text = await refusalText(connection, response);
    const refusal = readRefusal(text);
    if (refusal !== undefined && this.#keyring.isSealed({ nonce, status, digest: digestOf(text) }, seal)) {
      throw refused(to, refusal);
    }
    throw unproven(to, status, refusal);
  }

  #headers(signed: Parameters<Keyring["sign"]>[0]): Record<string, string> {
    return {
      [HEADERS.at]: signed.at,
      [HEADERS.nonce]: signed.nonce,
      [HEADERS.to]: signed.to,
      [HEADERS.protocol]: signed.protocol,
      [HEADERS.digest]: signed.digest,
      [HEADERS.signature]: this.#keyring.sign(signed),
      "content-type": "application/json",
    };
  }
}

/** Returns the text of a refusal, or "" if it is too long. A stranger may have sent it. */
async function refusalText(connection: HttpConnection, response: IncomingMessage): Promise<string> {
  const body = await connection.short(response, REFUSAL_LIMIT);
  return Buffer.from(body ?? []).toString("utf8");
}

/** @throws Unreachable if the node's answer cannot be parsed */
function parsed<Value>(to: Destination, read: () => Value): Value {
  try {
    return read();
  } catch (error) {
    const said = error instanceof Error ? error.message : String(error);
    const message = `${nodeAt(to)} sent ${said}. Run releases of Castellan that are closer to each other.`;
    throw new Unreachable(message, { cause: error });
  }
}

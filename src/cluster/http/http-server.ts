import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createSecureServer, type Server as SecureServer } from "node:https";
import type { Socket } from "node:net";
import { getRequestListener, type HttpBindings } from "@hono/node-server";
import { Hono } from "hono";
import type { Clock } from "../../clock.ts";
import { withDeadline } from "../../deadline.ts";
import { formatDuration } from "../../duration.ts";
import { isCallMethod } from "../protocol/call-methods.ts";
import type { CallAnswer, CallRequest } from "../protocol/frames.ts";
import type { RequestHandler } from "../protocol/transport.ts";
import { readCallRequest, readEventsRequest, readTurnRequest } from "../protocol/wire.ts";
import { Admission } from "./http-admission.ts";
import { HEADERS, ROOT } from "./http-headers.ts";
import type { Refusal } from "./http-refusal.ts";
import { lineStream } from "./http-stream.ts";
import { type ClusterSecret, Keyring } from "./signature.ts";
import { Strangers } from "./strangers.ts";
import type { TlsIdentity } from "./tls-credentials.ts";
import { certificateWords, isPlainHttp, peerFault } from "./tls-fault.ts";
import { ToldOnce } from "./told-once.ts";

export interface RequestServerOptions {
  /** Port 0 takes any free port. */
  readonly listen: { readonly host: string; readonly port: number };
  /** The same on every machine; see {@link ClusterSecret}. */
  readonly secret: ClusterSecret;
  readonly clock: Clock;
  /** The current run of the node. Requests for another run are refused. */
  readonly boot: () => string;
  /** The release of Castellan, for messages. */
  readonly release: string;
  /** Maximum size of a request, in bytes. Default 16 MB. */
  readonly maxRequestBytes?: number;
  /** Maximum size of all requests that are being read, in bytes. Default 256 MB. */
  readonly maxUnreadBytes?: number;
  /** Maximum number of open requests, streams and calls together. Default 10,000. */
  readonly maxOpen?: number;
  /** Timeout for the headers of a request, in milliseconds. Default 10,000. */
  readonly headMs?: number;
  /** Interval of the pings in a stream, in milliseconds. Default 2,000. */
  readonly pingMs?: number;
  /** How long the reader of an answer may take nothing before its connection breaks, in milliseconds. Default 60,000. */
  readonly stallMs?: number;
  /** How long open requests may take to end when the server closes, in milliseconds. Default 500. */
  readonly lingerMs?: number;
  /** Called with what the handler throws, which is a defect. The connection breaks. */
  readonly failed?: (error: unknown) => void;
  /** Certificates of both sides. Default: none, and no TLS. The caller disposes of it. */
  readonly tls?: TlsIdentity | undefined;
  /** Called with why a peer was refused that may be a node or client with a wrong configuration, once a minute. */
  readonly refused?: (message: string) => void;
}

/** A server for requests of other nodes. */
export interface RequestServer {
  readonly port: number;
  /** Refuses new requests, and breaks those still open after `lingerMs`. Resolves once all are closed. */
  close(): Promise<void>;
}

/** Timeouts for a whole request and its headers, in milliseconds. Only a signed request gets as far as its body. */
const REQUEST_MS = 60_000;
const HEAD_MS = 10_000;

/** Interval at which Node checks those timeouts, in milliseconds. */
const CHECK_MS = 1_000;

/** Connections per open request: most idle in keep-alive, and strangers hold some. */
const CONNECTIONS_PER_REQUEST = 1.5;

/** How many of the connections strangers may hold. */
const STRANGERS = 1_024;

/**
 * Serves the requests that `httpTransport` sends. `GET /castellan/v1/live` tells anybody that the node runs; every
 * other route needs the secret, and refuses before it reads a body.
 *
 * @throws CastellanError `INVALID_OPTIONS` if the secret is invalid; the system's error if the server cannot listen
 */
export async function serveRequests(handler: RequestHandler, options: RequestServerOptions): Promise<RequestServer> {
  const { host, port } = options.listen;
  const served = new HttpRequestServer(handler, options);
  await served.listen(host, port);
  return served;
}

class HttpRequestServer implements RequestServer {
  readonly #app = new Hono<{ Bindings: HttpBindings }>();
  readonly #server: Server | SecureServer;
  readonly #strangers: Strangers;
  readonly #told: ToldOnce;
  readonly #stopRenewal: () => void;
  readonly #handler: RequestHandler;
  readonly #options: RequestServerOptions;
  readonly #admission: Admission;
  readonly #maxOpen: number;
  /** The controllers of the open requests. */
  readonly #open = new Set<AbortController>();
  /** Answers that are still being sent; they outlast their requests briefly. */
  readonly #answers = new Set<ServerResponse>();
  readonly #failed: (error: unknown) => void;
  #closing: Promise<void> | undefined;
  /** Resolves once no answer is left, if `close` waits for that. */
  #idle: PromiseWithResolvers<void> | undefined;

  constructor(handler: RequestHandler, options: RequestServerOptions) {
    const { secret, clock, boot, release, maxRequestBytes = 16 * 1024 ** 2, maxOpen = 10_000, tls } = options;
    const { headMs = HEAD_MS, maxUnreadBytes = 256 * 1024 ** 2 } = options;
    this.#handler = handler;
    this.#options = options;
    this.#failed = options.failed ?? (() => {});
    this.#told = new ToldOnce(clock, options.refused ?? (() => {}));
    const keyring = new Keyring(secret);
    this.#admission = new Admission({ keyring, clock, boot, release, maxRequestBytes, maxUnreadBytes });
    this.#maxOpen = maxOpen;
    // Tells nothing that would help an attacker.
    this.#app.get(`${ROOT}/live`, (c) => c.json({ live: true }));
    this.#route("turn", readTurnRequest, (request, signal) => handler.turn(request, signal));
    this.#route("events", readEventsRequest, (request, signal) => handler.events(request, signal));
    this.#route("call", readCallRequest, (request) => this.#call(request));
    // The connection broke before the request was complete; nobody gets the answer.
    this.#app.onError((_, c) => c.body(null, 400));
    // Leaves the application's global `Request` and `Response` alone.
    const listener = getRequestListener(this.#app.fetch, { overrideGlobalObjects: false });
    const terms = {
      requestTimeout: REQUEST_MS,
      headersTimeout: Math.min(REQUEST_MS, headMs),
      connectionsCheckingInterval: Math.min(CHECK_MS, headMs),
    };
    const answer = (incoming: IncomingMessage, outgoing: ServerResponse): void => {
      this.#answers.add(outgoing);
      outgoing.once("close", () => this.#answered(outgoing));
      void listener(incoming, outgoing);
    };
    const maxConnections = Math.ceil(maxOpen * CONNECTIONS_PER_REQUEST);
    this.#strangers = new Strangers(STRANGERS);
    if (tls === undefined) {
      this.#server = createServer(terms, answer);
      this.#stopRenewal = () => {};
    } else {
      // A connection without a valid certificate gets an answer that says so, and nothing else.
      const mutual = { ...tls.context, requestCert: true, rejectUnauthorized: false, handshakeTimeout: headMs };
      const server = createSecureServer({ ...terms, ...mutual }, answer);
      server.on("tlsClientError", (error, { remoteAddress }) => {
        if (isPlainHttp(error)) this.#told.tell(`plain ${remoteAddress}`, spokePlainHttp(remoteAddress));
      });
      this.#stopRenewal = tls.onRenewed((context) => server.setSecureContext(context));
      this.#server = server;
    }
    this.#server.maxConnections = maxConnections;
    this.#server.on("connection", (socket) => this.#strangers.add(socket));
  }

  get port(): number {
    const address = this.#server.address();
    return typeof address === "object" && address !== null ? address.port : this.#options.listen.port;
  }

  async listen(host: string, port: number): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#server.once("error", reject);
    this.#server.listen(port, host, resolve);
    await promise;
    this.#server.off("error", reject);
    this.#server.on("error", this.#failed);
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#stopRenewal();
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    if (this.#answers.size > 0) {
      const { clock, lingerMs = 500 } = this.#options;
      const idle = Promise.withResolvers<void>();
      this.#idle = idle;
      await withDeadline(clock, lingerMs, idle.promise);
    }
    for (const abort of this.#open) abort.abort();
    this.#server.closeAllConnections();
    this.#strangers.close();
    await closed;
  }

  #route<Asked>(
    name: string,
    read: (value: unknown) => Asked,
    answer: (asked: Asked, signal: AbortSignal) => AsyncIterable<unknown>,
  ): void {
    const path = `${ROOT}/${name}`;
    this.#app.post(path, async (c) => {
      const { socket } = c.env.incoming;
      const problem = this.#options.tls === undefined ? undefined : peerFault(socket);
      if (problem !== undefined) return this.#refuseCertificate(socket, problem);
      const { asker, refusal } = this.#admission.check("POST", path, c.req.raw.headers);
      if (asker.key !== undefined) this.#strangers.know(socket);
      if (refusal?.reason === "skewed") this.#tellSkew(socket, refusal);
      if (refusal !== undefined) return this.#admission.refuse(asker, refusal);
      if (this.#closing !== undefined) return this.#admission.refuse(asker, { reason: "closing" });
      if (this.#open.size >= this.#maxOpen)
        return this.#admission.refuse(asker, { reason: "busy", limit: this.#maxOpen });
      const abort = new AbortController();
      this.#open.add(abort);
      let taken = false;
      try {
        const body = await this.#admission.read(c.req.raw);
        if ("refusal" in body) return this.#admission.refuse(asker, body.refusal);
        const asked = parsed(() => read(body.value));
        if ("problem" in asked) return this.#admission.refuse(asker, { reason: "malformed", problem: asked.problem });
        const { outgoing } = c.env;
        const failed = (error: unknown): void => {
          this.#failed(error);
          outgoing.destroy();
        };
        const values = (): AsyncIterable<unknown> => answer(asked.value, abort.signal);
        const stalled = (): void => void outgoing.destroy();
        const response = this.#stream(values, abort, failed, stalled, this.#admission.sealOf(asker));
        taken = true;
        return response;
      } finally {
        if (!taken) this.#open.delete(abort);
      }
    });
  }

  #stream(
    values: () => AsyncIterable<unknown>,
    abort: AbortController,
    failed: (error: unknown) => void,
    stalled: () => void,
    seal: string,
  ): Response {
    const { clock, pingMs = 2_000, stallMs = 60_000 } = this.#options;
    const ended = (): void => void this.#open.delete(abort);
    return new Response(lineStream(values, { clock, pingMs, stallMs, abort, ended, failed, stalled }), {
      headers: {
        [HEADERS.seal]: seal,
        "content-type": "application/x-ndjson",
        "cache-control": "no-store, no-transform",
        // Sends each line at once instead of buffering.
        "transfer-encoding": "chunked",
        "x-accel-buffering": "no",
      },
    });
  }

  async *#call(request: ReturnType<typeof readCallRequest>): AsyncGenerator<CallAnswer, void, undefined> {
    const { method } = request;
    yield isCallMethod(method) ? await this.#handler.call({ ...request, method }) : this.#notKnown(request);
  }

  #notKnown({ method, key }: Omit<CallRequest, "method"> & { readonly method: string }): CallAnswer {
    const message = `global session ${key}: its node runs release ${this.#options.release}, which does not know \`${method}\`. Update that node.`;
    return { type: "failed", error: { code: "CONTROL_FAILED", message, details: {} } };
  }

  /** Refuses before anything else: the peer may be anybody. */
  #refuseCertificate({ remoteAddress }: Socket, problem: string): Response {
    const words = `A peer at ${remoteAddress} was refused: its certificate ${certificateWords(problem, "this node")}. If it is a node or a client of the cluster, check its \`cluster.tls\`.`;
    this.#told.tell(`${problem} ${remoteAddress}`, words);
    return this.#admission.refuse({ nonce: "", key: undefined }, { reason: "certificate", problem });
  }

  #tellSkew({ remoteAddress }: Socket, { aheadMs = 0, limit = 0 }: Refusal): void {
    const by = formatDuration(Math.round(Math.abs(aheadMs) / 1_000) * 1_000);
    const words = `A node or client at ${remoteAddress} was refused: its clock is ${by} ${aheadMs < 0 ? "behind" : "ahead of"} that of this node, and ${formatDuration(limit)} are allowed. Synchronise both clocks by NTP.`;
    this.#told.tell(`skew ${remoteAddress}`, words);
  }

  #answered(outgoing: ServerResponse): void {
    this.#answers.delete(outgoing);
    if (this.#answers.size === 0) this.#idle?.resolve();
  }
}

function parsed<Value>(read: () => Value): { readonly value: Value } | { readonly problem: string } {
  try {
    return { value: read() };
  } catch (error) {
    return { problem: error instanceof Error ? error.message : String(error) };
  }
}

function spokePlainHttp(peer: string | undefined): string {
  return `A peer at ${peer} was refused: it speaks HTTP without TLS. If it is a node or a client of the cluster, give it \`cluster.tls\`.`;
}

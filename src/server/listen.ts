import { createServer as createHttpServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createHttpsServer, Server as HttpsServer } from "node:https";
import { isIPv6, type ListenOptions as NetListenOptions, type Socket } from "node:net";
import { getRequestListener, type HttpBindings } from "@hono/node-server";
import { RESPONSE_ALREADY_SENT } from "@hono/node-server/utils/response";
import { z } from "zod";
import type { Logger } from "../application/options/supervisor-options.ts";
import type { Supervisor } from "../application/supervisor.ts";
import { systemClock } from "../clock.ts";
import { withDeadline } from "../deadline.ts";
import type { Duration } from "../duration.ts";
import { durationSchema, invalidOptions, validate } from "../session/options/validation.ts";
import { logFailure } from "./access/access-log.ts";
import { isLoopback } from "./access/hosts.ts";
import {
  type CertificateFiles,
  type CertificatePaths,
  CertificateRenewal,
  readCertificate,
  unusable,
} from "./certificate.ts";
import { checkSupervisor, ServerApplication } from "./handler.ts";
import { DirectBody } from "./http/direct-body.ts";
import { refuseMalformed } from "./malformed.ts";
import {
  type ListenOptions,
  type ListenSettings,
  listenSettings,
  type MountedHandler,
  type ServerSettings,
} from "./server-options.ts";
import { unbroken } from "./unbroken-response.ts";
import { listenOnSocket } from "./unix-socket.ts";

/** A listening server. */
export interface ListeningServer extends AsyncDisposable {
  /** `http://127.0.0.1:41234`, without a slash at its end. */
  readonly url: string;
  /** Whether callers at `url` need a token, or whatever `authenticate` asks for. */
  readonly needsToken: boolean;
  /**
   * Ends the event streams, tells their clients to reconnect, and asks clients to close connections after their next answer. Answers
   * requests as before, so that approvals and results still get through. `/readyz` fails from now on.
   */
  drain(): void;
  /**
   * Stops listening, waits for open requests and breaks the rest. Idempotent. Does not stop the supervisor.
   *
   * @param options.deadline how long open requests may take. Default `"5s"`
   */
  close(options?: { readonly deadline?: Duration }): Promise<void>;
}

/**
 * Serves a supervisor over HTTP; see {@link serverHandler} for the paths. On a loopback address callers need no token as long as none
 * has been created and there is no `authenticate`.
 *
 * @throws CastellanError `INVALID_OPTIONS`: also for an address beyond the loopback interface without tokens, an address that cannot be
 * listened on, or a certificate that cannot be read
 * @example
 * await using server = await listen(supervisor, { port: 8080 });
 * console.log(server.url);
 */
export async function listen(supervisor: Supervisor, options: ListenOptions = {}): Promise<ListeningServer> {
  checkSupervisor(supervisor);
  const settings = listenSettings(options);
  const { port, reusePort, fd, socket } = settings;
  let { host } = settings;
  // Whoever made the socket has chosen its address, which is known only once this process listens on it.
  let isOpen = fd === undefined && (await isOpenToAll(settings, host));
  const tls = settings.tls === undefined ? undefined : await readCertificate(settings.tls);
  const application = new ServerApplication(supervisor, settings);
  const listening = new Listening(application, settings);
  try {
    const main = listening.server(tls, () => isOpen);
    if (settings.tls !== undefined && tls !== undefined) listening.renew(main, settings.tls, tls);
    await listenOn(main, fd === undefined ? { host, port, reusePort } : { fd });
    if (fd !== undefined) {
      host = hostOfServer(main) ?? host;
      isOpen = await isOpenToAll(settings, host);
    }
    if (tls === undefined && !isLoopback(host)) {
      settings.logger?.warn(
        `The server listens on ${host} without TLS. Put it behind a proxy that ends TLS, or give \`tls\`.`,
      );
    }
    const shared = reusePort || fd !== undefined;
    if (socket !== undefined)
      await listenOnSocket(
        listening.server(undefined, () => true),
        socket,
        { shared },
      );
    return listening.ready(`${tls === undefined ? "http" : "https"}://${addressOf(main, host)}`, !isOpen);
  } catch (error) {
    await listening.close({ deadline: 0 });
    throw error;
  }
}

/** Whether everybody who reaches the address is trusted. @throws CastellanError `INVALID_OPTIONS` if too many would be */
async function isOpenToAll({ tokens, authenticate }: ServerSettings, host: string): Promise<boolean> {
  if (authenticate !== undefined) return false;
  // Revoking the last token must not open the server.
  if (isLoopback(host)) return tokens === undefined || (await tokens.list()).length === 0;
  if (tokens !== undefined && (await tokens.hasValid())) return false;
  const message = `expected a loopback address such as 127.0.0.1, since callers need no token; got ${JSON.stringify(host)}. Create a token with \`castellan token create\`, or give \`authenticate\``;
  throw invalidOptions("server", [{ field: "host", message }]);
}

/** The times for the head of a request and for the whole of it, in milliseconds. */
const HEAD_MS = 10_000;
const REQUEST_MS = 60_000;

/** How often Node checks these times, in milliseconds. */
const CHECK_MS = 1_000;

/**
 * How long a connection without a request is kept once the server closes, in milliseconds: the request may be on its way. Browsers and
 * `fetch` open connections ahead, and Node does not count them as idle.
 */
const SILENT_MS = 100;

class Listening implements ListeningServer {
  url = "";
  needsToken = true;
  readonly #application: ServerApplication;
  readonly #maxConnections: number;
  readonly #mounts: ListenSettings["mounts"];
  readonly #logger: Logger | undefined;
  readonly #servers: Server[] = [];
  /** The connections on which no request has come yet. */
  readonly #silent = new Set<Socket>();
  #renewal: CertificateRenewal | undefined;
  #draining = false;
  #closing: Promise<void> | undefined;

  constructor(application: ServerApplication, { maxConnections, mounts, logger }: ListenSettings) {
    this.#application = application;
    this.#maxConnections = maxConnections;
    this.#mounts = mounts;
    this.#logger = logger;
  }

  /** Takes renewed certificates for new connections. */
  renew(server: Server, paths: CertificatePaths, now: CertificateFiles): void {
    if (!(server instanceof HttpsServer)) return;
    const renewed = (files: CertificateFiles): void => server.setSecureContext(files);
    this.#renewal = new CertificateRenewal(systemClock, paths, now, renewed, this.#logger);
  }

  /** Makes a server for one address. */
  server(tls: CertificateFiles | undefined, trusted: () => boolean): Server {
    const terms = { headersTimeout: HEAD_MS, requestTimeout: REQUEST_MS, connectionsCheckingInterval: CHECK_MS };
    const respond = getRequestListener(
      async (request, env) => {
        const { outgoing } = env as HttpBindings;
        const response = await this.#handlerOf(request).handle(request, { trusted: trusted() });
        const failed = (error: unknown): void =>
          logFailure(this.#logger, response.headers.get("request-id") ?? "-", error);
        const direct = DirectBody.in(response);
        if (direct === undefined) return unbroken(response, outgoing, failed);
        outgoing.statusCode = response.status;
        outgoing.setHeaders(response.headers).flushHeaders();
        void direct.writeTo(outgoing, failed);
        return RESPONSE_ALREADY_SENT;
      },
      // Leaves the application's global `Request` and `Response` alone.
      { overrideGlobalObjects: false },
    );
    const listener = (incoming: IncomingMessage, outgoing: ServerResponse): void => {
      this.#silent.delete(incoming.socket);
      if (this.#draining) outgoing.setHeader("connection", "close");
      void respond(incoming, outgoing);
    };
    const server =
      tls === undefined ? createHttpServer(terms, listener) : createHttpsServer({ ...terms, ...tls }, listener);
    server.maxConnections = this.#maxConnections;
    server.on("clientError", refuseMalformed);
    server.on(tls === undefined ? "connection" : "secureConnection", (socket: Socket) => {
      this.#silent.add(socket);
      socket.once("close", () => this.#silent.delete(socket));
    });
    this.#servers.push(server);
    return server;
  }

  #handlerOf({ url }: Request): MountedHandler {
    const paths = Object.keys(this.#mounts);
    if (paths.length === 0) return this.#application;
    const { pathname } = new URL(url);
    const path = paths.find((mounted) => pathname === mounted || pathname.startsWith(`${mounted}/`));
    return (path === undefined ? undefined : this.#mounts[path]) ?? this.#application;
  }

  ready(url: string, needsToken: boolean): ListeningServer {
    this.url = url;
    this.needsToken = needsToken;
    return this;
  }

  drain(): void {
    this.#draining = true;
    for (const handler of [this.#application, ...Object.values(this.#mounts)]) handler.drain();
    for (const server of this.#servers) server.closeIdleConnections();
  }

  close(options: { readonly deadline?: Duration } = {}): Promise<void> {
    const { deadline } = validate(closeSchema, options, "close");
    this.#closing ??= this.#close(deadline);
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(deadline: number): Promise<void> {
    this.drain();
    this.#renewal?.[Symbol.dispose]();
    const closed = Promise.all(
      this.#servers.map((server) => new Promise<void>((resolve) => void server.close(() => resolve()))),
    );
    const silence = systemClock.schedule(SILENT_MS, () => {
      for (const socket of this.#silent) socket.destroy();
    });
    await withDeadline(systemClock, deadline, closed);
    silence.cancel();
    for (const server of this.#servers) server.closeAllConnections();
    await closed;
  }
}

const closeSchema = z.strictObject({ deadline: durationSchema.default(5_000) });

/** @throws CastellanError `INVALID_OPTIONS` */
async function listenOn(server: Server, at: NetListenOptions & { readonly fd?: number }): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once("error", reject);
  server.listen(at, resolve);
  try {
    await promise;
  } catch (error) {
    const inUse = error instanceof Error && "code" in error && (error.code === "EADDRINUSE" || error.code === "EACCES");
    throw unusable("fd" in at ? "fd" : inUse ? "port" : "host", error);
  } finally {
    server.off("error", reject);
  }
}

function hostOfServer(server: Server): string | undefined {
  const address = server.address();
  return typeof address === "object" && address !== null ? address.address : undefined;
}

function addressOf(server: Server, host: string): string {
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  return `${isIPv6(host) ? `[${host}]` : host}:${port}`;
}

import { randomUUID } from "node:crypto";
import { type Context, Hono } from "hono";
import type { Supervisor } from "../application/supervisor.ts";
import { systemClock } from "../clock.ts";
import { invalidOptions } from "../session/options/validation.ts";
import { logFailure } from "./access/access-log.ts";
import { Authentication } from "./access/authentication.ts";
import {
  type Arrival,
  authenticated,
  crossOrigin,
  type GuardDeps,
  type GuardEnv,
  identified,
  limitedBody,
  limitedStreams,
  sameSite,
} from "./access/guards.ts";
import { RateLimit } from "./access/rate-limit.ts";
import { viewOf } from "./access/reach.ts";
import { StreamLimit } from "./access/stream-limit.ts";
import { mcpRoutes } from "./adapters/mcp-routes.ts";
import { anthropicRoutes } from "./anthropic/routes.ts";
import { allowedMethods } from "./http/allowed-methods.ts";
import { anthropicErrorBody, nativeErrorBody } from "./http/error-body.ts";
import { httpError } from "./http/http-error.ts";
import { RequestError } from "./http/request-error.ts";
import type { ServerContext } from "./http/server-context.ts";
import { nativeRoutes } from "./native/native-routes.ts";
import { type ServerOptions, type ServerSettings, serverSettings } from "./server-options.ts";

/** Answers Web-standard requests. */
export interface ServerHandler {
  (request: Request): Promise<Response>;
  /** Ends the event streams, and tells their clients to reconnect. Other requests are answered as before. */
  drain(): void;
}

/**
 * Makes a handler of Web-standard requests, for Hono, Express, Fastify, Next and others: Anthropic's API for managed agents in part under
 * `/anthropic/v1`, Castellan's own under `/castellan/v1`, MCP at `/mcp`, and the probes `/livez` and `/readyz`. Callers need a token, or whatever
 * `authenticate` asks for.
 *
 * @throws CastellanError `INVALID_OPTIONS`, also if there are neither `tokens` nor `authenticate`
 * @example
 * const handler = serverHandler(supervisor, { tokens: ".castellan/tokens.jsonl" });
 * app.all("/castellan/*", (c) => handler(c.req.raw));
 */
export function serverHandler(supervisor: Supervisor, options: ServerOptions = {}): ServerHandler {
  checkSupervisor(supervisor);
  const settings = serverSettings(options);
  if (settings.tokens === undefined && settings.authenticate === undefined) {
    const message =
      "expected the path of a file, since there is no `authenticate`; a handler cannot know who may reach it";
    throw invalidOptions("server", [{ field: "tokens", message }]);
  }
  const application = new ServerApplication(supervisor, settings);
  const handle = (request: Request): Promise<Response> => application.handle(request, { trusted: false });
  return Object.assign(handle, { drain: () => application.drain() });
}

/** @throws CastellanError `INVALID_OPTIONS` */
export function checkSupervisor(supervisor: Supervisor): void {
  // It may be of a second copy of this package.
  if (typeof supervisor?.readyz === "function") return;
  throw invalidOptions("server", [{ field: "supervisor", message: "expected a supervisor" }]);
}

/** The routes of a server behind its guards. */
export class ServerApplication {
  readonly #app: Hono<GuardEnv>;
  readonly #draining = new AbortController();
  readonly #settings: ServerSettings;

  constructor(supervisor: Supervisor, settings: ServerSettings) {
    this.#settings = settings;
    const context: ServerContext = {
      supervisor,
      clock: systemClock,
      newId: randomUUID,
      streams: {
        clock: systemClock,
        draining: this.#draining.signal,
        pingMs: settings.pingMs,
        stallMs: settings.stallMs,
      },
    };
    this.#app = this.#routes(context);
  }

  /** Answers a request. Never rejects. */
  async handle(request: Request, arrival: Arrival): Promise<Response> {
    return await this.#app.fetch(request, arrival);
  }

  /** Ends the event streams. Idempotent. */
  drain(): void {
    this.#draining.abort();
  }

  #routes(context: ServerContext): Hono<GuardEnv> {
    const { tokens, authenticate, rateLimit, maxStreams } = this.#settings;
    const { clock, newId, supervisor } = context;
    const guards: GuardDeps = {
      ...this.#settings,
      clock,
      newId,
      authentication: new Authentication({ tokens, authenticate, clock }),
      rateLimit: rateLimit === undefined ? undefined : new RateLimit(rateLimit),
      streamLimit: new StreamLimit(maxStreams ?? MAX_STREAMS),
      localStreamLimit: new StreamLimit(maxStreams ?? Number.POSITIVE_INFINITY),
    };
    const app = new Hono<GuardEnv>().basePath(this.#settings.basePath);
    app.onError((error, c) => this.#failed(error, c));
    app.notFound((c) => this.#failed(missing(app, c), c));
    app.use(identified(guards), sameSite(guards), crossOrigin(guards));
    // A stranger learns only whether the application runs and takes turns.
    app.get("/livez", (c) => probe(c, supervisor.livez().ok));
    app.get("/readyz", (c) => probe(c, supervisor.readyz().ok && !this.#draining.signal.aborted));
    app.use(authenticated(guards), limitedBody(guards), limitedStreams(guards));
    for (const path of MESSAGES_PATHS) app.all(path, () => Promise.reject(noModel()));
    app.route("/anthropic/v1", anthropicRoutes(context));
    app.route("/castellan/v1", nativeRoutes(context));
    app.route("/mcp", mcpRoutes(context));
    return app;
  }

  #failed(error: unknown, c: Context<GuardEnv>): Response {
    // A path outside of `basePath` has passed no guard.
    const { requestId = `req_${randomUUID()}`, caller } = c.var as Partial<GuardEnv["Variables"]>;
    const shown = httpError(error, viewOf(caller), systemClock.now());
    if (shown.code === "INTERNAL") logFailure(this.#settings.logger, requestId, error);
    const headers = { ...shown.headers, "request-id": requestId, "cache-control": "no-store" };
    const isAnthropic = ANTHROPIC_PATH.test(c.req.path.slice(this.#settings.basePath.length));
    const body = isAnthropic ? anthropicErrorBody(shown, requestId) : nativeErrorBody(shown);
    return Response.json(body, { status: shown.status, headers });
  }
}

/** The event streams of a caller at once, unless `maxStreams` is given. */
const MAX_STREAMS = 1_000;

function probe(c: Context<GuardEnv>, ok: boolean): Response {
  return c.json({ status: ok ? "ok" : "unavailable" }, ok ? 200 : 503, { "cache-control": "no-store" });
}

/** The paths at which clients of Anthropic's APIs ask. */
const ANTHROPIC_PATH = /^(?:\/anthropic)?\/v1(?:\/|$)/;

/** Where a client asks that takes this server for Anthropic's model API. */
const MESSAGES_PATHS = ["/v1/messages", "/v1/messages/*", "/anthropic/v1/messages", "/anthropic/v1/messages/*"];

function noModel(): RequestError {
  return new RequestError(
    "NOT_FOUND",
    "This is Castellan's server, which is no model. An `ANTHROPIC_BASE_URL` of Claude Code must not point here.",
  );
}

function missing(app: Hono<GuardEnv>, { req: { path, method } }: Context<GuardEnv>): RequestError {
  const allow = allowedMethods(app, path);
  if (allow.length === 0) return new RequestError("NOT_FOUND", "There is no such path on this server.");
  return new RequestError("METHOD_NOT_ALLOWED", `This path does not take ${method}, but ${allow.join(", ")}.`, {
    allow,
  });
}

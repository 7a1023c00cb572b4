import type { Context, MiddlewareHandler } from "hono";
import { cors } from "hono/cors";
import type { Logger } from "../../application/options/supervisor-options.ts";
import type { Clock } from "../../clock.ts";
import { tooLarge, withBoundedBody } from "../http/body.ts";
import type { Caller } from "../http/caller.ts";
import { endingBody } from "../http/ending-body.ts";
import { RequestError } from "../http/request-error.ts";
import type { ServerEnv } from "../http/server-context.ts";
import { accessLine } from "./access-log.ts";
import { type Authentication, LOCAL_CALLER } from "./authentication.ts";
import { isAllowedHost, isAllowedOrigin } from "./hosts.ts";
import type { RateLimit } from "./rate-limit.ts";
import type { StreamLimit } from "./stream-limit.ts";

/** How a request reached the server. */
export interface Arrival {
  /**
   * Whether whoever can send the request needs no token: it came through the socket that only the server's user can open, or through a
   * loopback port that is open to all users of the machine.
   */
  readonly trusted: boolean;
}

/** The environment of the guards: what the routes get, and how the request came. */
export interface GuardEnv {
  readonly Variables: ServerEnv["Variables"];
  readonly Bindings: Arrival;
}

export interface GuardDeps {
  readonly clock: Clock;
  readonly newId: () => string;
  readonly logger: Logger | undefined;
  readonly authentication: Authentication;
  readonly rateLimit: RateLimit | undefined;
  readonly streamLimit: StreamLimit;
  /** The limit of those who need no token, all of whom count as one caller. */
  readonly localStreamLimit: StreamLimit;
  readonly hosts: readonly string[] | undefined;
  readonly origins: readonly string[];
  readonly maxBodyBytes: number;
}

/** Gives each request an id, and logs its answer. */
export function identified({ clock, newId, logger }: GuardDeps): MiddlewareHandler<GuardEnv> {
  return async (c, next) => {
    const since = clock.monotonic();
    const requestId = `req_${newId()}`;
    c.set("requestId", requestId);
    await next();
    c.res.headers.set("request-id", requestId);
    if (logger === undefined) return;
    const { method, path } = c.req;
    // Only the guards set the caller, and some requests do not get that far.
    const caller = (c.get("caller") as Caller | undefined)?.id;
    const durationMs = clock.monotonic() - since;
    logger.info(accessLine({ requestId, method, path, status: c.res.status, caller, durationMs }));
  };
}

/** Refuses requests that a page of another site makes a browser send. @throws RequestError `BAD_HOST`, `BAD_ORIGIN` */
export function sameSite({ hosts, origins }: GuardDeps): MiddlewareHandler<GuardEnv> {
  return async (c, next) => {
    const host = c.req.header("host") ?? new URL(c.req.url).host;
    // A page that rebinds its name has no token, so only a server without tokens depends on the name.
    const isStrict = c.env.trusted || hosts !== undefined;
    if (isStrict && !isAllowedHost(host, hosts ?? [])) {
      throw new RequestError("BAD_HOST", "This server has another name. Add the name to the option `hosts`.");
    }
    const origin = c.req.header("origin");
    if (origin !== undefined && !isAllowedOrigin(origin, host, origins)) {
      throw new RequestError(
        "BAD_ORIGIN",
        "Pages of this origin may not use the server. Add it to the option `origins`.",
      );
    }
    await next();
  };
}

/** Answers the questions of browsers whether pages of the named origins may use the server. */
export function crossOrigin({ origins }: GuardDeps): MiddlewareHandler<GuardEnv> {
  return cors({
    origin: (origin) => (origins.includes(origin) ? origin : null),
    allowMethods: ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"],
    exposeHeaders: ["location", "mcp-session-id", "request-id", "retry-after", "x-should-retry"],
    maxAge: 600,
  });
}

/** Finds out the caller, and counts the request. @throws RequestError `UNAUTHENTICATED`, `RATE_LIMITED` */
export function authenticated({ authentication, rateLimit, clock }: GuardDeps): MiddlewareHandler<GuardEnv> {
  return async (c, next) => {
    if (c.env.trusted) {
      c.set("caller", LOCAL_CALLER);
    } else {
      const caller = await authentication.callerOf(c.req.raw);
      c.set("caller", caller);
      const retryAfterMs = rateLimit?.take(caller.id, clock.monotonic()) ?? 0;
      if (retryAfterMs > 0)
        throw new RequestError("RATE_LIMITED", "Too many requests of this caller.", { retryAfterMs });
    }
    await next();
  };
}

/**
 * Counts the event streams of each caller, until they end. Only a GET opens one: an answer to a POST of MCP may be a stream, but ends
 * with its request.
 *
 * @throws RequestError `TOO_MANY_STREAMS`
 */
export function limitedStreams({ streamLimit, localStreamLimit }: GuardDeps): MiddlewareHandler<GuardEnv> {
  return async (c, next) => {
    await next();
    const { res } = c;
    if (c.req.method !== "GET" || res.headers.get("content-type")?.startsWith("text/event-stream") !== true) return;
    const ended = (c.env.trusted ? localStreamLimit : streamLimit).take(c.get("caller").id);
    c.res = undefined;
    if (ended === undefined) {
      void res.body?.cancel().catch(() => {});
      // Hono adds these headers to the answer of the error.
      c.res = new Response(null, { headers: [...res.headers].filter(([name]) => OF_ORIGINS.test(name)) });
      throw new RequestError("TOO_MANY_STREAMS", "This caller has too many event streams open. Close some of them.");
    }
    c.res = endingBody(res, c.req.raw.signal, ended);
  };
}

/** The headers with which a page of another origin may read an answer. */
const OF_ORIGINS = /^(?:access-control-|vary$)/;

/** Refuses a body that is too large, before it is read where its length is known. @throws RequestError `REQUEST_TOO_LARGE` */
export function limitedBody({ maxBodyBytes }: GuardDeps): MiddlewareHandler<GuardEnv> {
  return async (c, next) => {
    if (c.req.method !== "GET" && c.req.method !== "HEAD") {
      const length = lengthOf(c);
      if (length === undefined) c.req.raw = await withBoundedBody(c.req.raw, maxBodyBytes);
      else if (length > maxBodyBytes) throw tooLarge(maxBodyBytes);
    }
    await next();
  };
}

/** Returns the length of the body if its head tells it. */
function lengthOf(c: Context): number | undefined {
  const length = c.req.header("content-length");
  return length === undefined || c.req.header("transfer-encoding") !== undefined ? undefined : Number(length);
}

import { z } from "zod";
import type { Logger } from "../application/options/supervisor-options.ts";
import type { MemorySize } from "../capacity/memory-size.ts";
import type { Duration } from "../duration.ts";
import { durationSchema, memorySchema, validate } from "../session/options/validation.ts";
import type { Authenticate } from "./access/authentication.ts";
import type { Arrival } from "./access/guards.ts";
import { hostOf } from "./access/hosts.ts";
import type { RateLimitSettings } from "./access/rate-limit.ts";
import { TOKENS_FILE, TokenStore } from "./access/token-store.ts";
import { STREAM_DEFAULTS } from "./http/sse.ts";

/** Options of a server, wherever it is mounted. */
export interface ServerOptions {
  /**
   * The tokens that callers may use: the path of their file, or a store. `false` for none. Default of {@link listen}:
   * `.castellan/tokens.jsonl`; {@link serverHandler} has none.
   */
  tokens?: string | TokenStore | false;
  /** The application's own authentication, asked before the tokens. Default: none. */
  authenticate?: Authenticate;
  /**
   * The names of this server that a `Host` header may have, without port, besides those of the loopback interface. Default: any if
   * callers need a token, otherwise none.
   */
  hosts?: readonly string[];
  /**
   * The origins of pages on other hosts that may use the server: `https://app.example.com`. They get the headers of CORS. Default: none;
   * a request with another `Origin` than the server's own is refused.
   */
  origins?: readonly string[];
  /** How many requests each caller may make. Default 6,000 in a minute; `false` for no limit. Local callers have none. */
  rateLimit?: { readonly requests: number; readonly per: Duration } | false;
  /**
   * How many event streams each caller may have open at once; a further one is refused with 429. Default 1,000; `false` for no limit.
   * Local callers, who all count as one, have a limit only if this is set.
   */
  maxStreams?: number | false;
  /** The largest body of a request. Default `"32MB"`. */
  maxBodySize?: MemorySize;
  /** Milliseconds of silence in an event stream before a ping. Default `"15s"`. */
  ping?: Duration;
  /** How long a client may take nothing of its event stream before the connection is cut. Default `"1m"`. */
  stall?: Duration;
  /** The path under which the handler is mounted: `/agents`. Default: the root. */
  basePath?: string;
  /** Gets a line for each request, without key and prompt, and one for each failure. Default: none. */
  logger?: Logger;
}

/** Answers the requests below a path of a server that listens by itself. A dashboard is one. */
export interface MountedHandler {
  /** Answers a request. Must not reject. */
  handle(request: Request, arrival: Arrival): Promise<Response>;
  /** Ends event streams, because the server stops soon. */
  drain(): void;
}

/** Options of a server that listens by itself. */
export interface ListenOptions extends ServerOptions {
  /** The address to listen on. Beyond the loopback interface only with tokens or `authenticate`. Default `"127.0.0.1"`. */
  host?: string;
  /** Default 0, any free port. */
  port?: number;
  /**
   * Whether other processes may listen on the port as well, so that the next process of the application can start while this one
   * still listens. The system spreads connections over them. Not on Windows. Default `false`.
   */
  reusePort?: boolean;
  /**
   * The descriptor of a socket that already listens, in place of `host` and `port`: 3 for a unit that systemd activates by a socket.
   * Default: none.
   */
  fd?: number;
  /**
   * The path of a unix socket to listen on as well. Its mode is 0600: callers on it are the server's own user, and need no token.
   * Default: none.
   */
  socket?: string;
  /**
   * The paths of a certificate chain and its key in PEM, for HTTPS. The server reads them again every minute, so a renewed
   * certificate needs no restart. Default: HTTP, also for a proxy that ends TLS.
   */
  tls?: { readonly cert: string; readonly key: string };
  /** The most connections at a time; further ones are closed at once. Default 10,000. */
  maxConnections?: number;
  /** Further handlers by path, such as `{ "/dashboard": dashboard(supervisor, { auth }) }`. Default: none. */
  mounts?: Readonly<Record<string, MountedHandler>>;
}

/** {@link ServerOptions} with their defaults. */
export interface ServerSettings {
  readonly tokens: TokenStore | undefined;
  readonly authenticate: Authenticate | undefined;
  /** Undefined for the default. */
  readonly hosts: readonly string[] | undefined;
  readonly origins: readonly string[];
  readonly rateLimit: RateLimitSettings | undefined;
  /** `Infinity` for no limit, undefined for the default. */
  readonly maxStreams: number | undefined;
  readonly maxBodyBytes: number;
  readonly pingMs: number;
  readonly stallMs: number;
  readonly basePath: string;
  readonly logger: Logger | undefined;
}

/** {@link ListenOptions} with their defaults. */
export interface ListenSettings extends ServerSettings {
  readonly host: string;
  readonly port: number;
  readonly reusePort: boolean;
  readonly fd: number | undefined;
  readonly socket: string | undefined;
  readonly tls: { readonly cert: string; readonly key: string } | undefined;
  readonly maxConnections: number;
  readonly mounts: Readonly<Record<string, MountedHandler>>;
}

const positiveDuration = durationSchema.refine((ms) => ms > 0, "expected more than 0");

const serverShape = {
  tokens: z.union([z.string().min(1), z.instanceof(TokenStore), z.literal(false)]).optional(),
  authenticate: z.custom<Authenticate>((value) => typeof value === "function", "expected a function").optional(),
  hosts: z
    .array(
      z.string().refine((host) => hostOf(host) !== undefined && !/:\d+$/.test(host), "expected a name without port"),
    )
    .optional(),
  origins: z
    .array(
      z
        .string()
        .refine(
          (origin) => URL.parse(origin)?.origin === origin,
          "expected an origin, such as https://app.example.com",
        ),
    )
    .default([]),
  rateLimit: z
    .union([z.literal(false), z.strictObject({ requests: z.int().positive(), per: positiveDuration })])
    .default({ requests: 6_000, per: 60_000 }),
  maxStreams: z.union([z.literal(false), z.int().positive()]).optional(),
  maxBodySize: memorySchema.default(32 * 1024 ** 2),
  ping: positiveDuration.default(STREAM_DEFAULTS.pingMs),
  stall: positiveDuration.default(STREAM_DEFAULTS.stallMs),
  basePath: z
    .string()
    .regex(/^(?:\/[\w.~-]+)*$/, "expected a path such as /agents, without a slash at its end")
    .default(""),
  logger: z
    .custom<Logger>(
      (value) => typeof value === "object" && value !== null && ["info", "warn"].every((level) => level in value),
      "expected an object with the methods `info` and `warn`",
    )
    .optional(),
};

const schema = z.strictObject(serverShape);

const listenSchema = z.strictObject({
  ...serverShape,
  host: z.string().min(1).default("127.0.0.1"),
  port: z.int().min(0).max(65_535).default(0),
  reusePort: z.boolean().default(false),
  fd: z.int().min(0).optional(),
  socket: z.string().min(1).optional(),
  tls: z.strictObject({ cert: z.string().min(1), key: z.string().min(1) }).optional(),
  maxConnections: z.int().positive().default(10_000),
  mounts: z
    .record(
      z.string().regex(/^(?:\/[\w.~-]+)+$/, "expected a path such as /dashboard, without a slash at its end"),
      z.custom<MountedHandler>(
        (value) => value !== null && ["object", "function"].includes(typeof value) && "handle" in Object(value),
        "expected a handler such as that of `dashboard`",
      ),
    )
    .default({}),
});

/** Validates the options and applies their defaults. @throws CastellanError `INVALID_OPTIONS` */
export function serverSettings(options: ServerOptions): ServerSettings {
  return settingsOf(validate(schema, options, "server"));
}

/** Validates the options and applies their defaults. @throws CastellanError `INVALID_OPTIONS` */
export function listenSettings(options: ListenOptions): ListenSettings {
  const given = validate(listenSchema, options, "server");
  const { host, port, reusePort, fd, socket, tls, maxConnections, mounts, tokens = TOKENS_FILE } = given;
  return { ...settingsOf({ ...given, tokens }), host, port, reusePort, fd, socket, tls, maxConnections, mounts };
}

function settingsOf(options: z.output<typeof schema>): ServerSettings {
  const { tokens, authenticate, hosts, origins, rateLimit, maxStreams, maxBodySize, ping, stall, basePath, logger } =
    options;
  return {
    tokens: typeof tokens === "string" ? new TokenStore(tokens) : tokens || undefined,
    authenticate,
    hosts,
    origins,
    rateLimit: rateLimit === false ? undefined : { requests: rateLimit.requests, perMs: rateLimit.per },
    maxStreams: maxStreams === false ? Number.POSITIVE_INFINITY : maxStreams,
    maxBodyBytes: maxBodySize,
    pingMs: ping,
    stallMs: stall,
    basePath,
    logger,
  };
}

import { Hono } from "hono";
import type { Approval, ApprovalList } from "../../wire/approval.ts";
import type { GlobalSessionListQuery } from "../../wire/cluster.ts";
import type { SessionListQuery } from "../../wire/session.ts";
import type { Turn } from "../../wire/turn.ts";
import { viewOf } from "../access/reach.ts";
import type { Caller } from "../http/caller.ts";
import { httpError } from "../http/http-error.ts";
import type { ServerContext, ServerEnv } from "../http/server-context.ts";
import { nativeRoutes } from "../native/native-routes.ts";
import type { McpPort, McpSession, PortOptions } from "./mcp-port.ts";

/** How long one call waits for the end of a turn, in milliseconds. */
const WAIT_MS = 25_000;

type Query = Readonly<Record<string, string | number | boolean | readonly string[] | undefined>>;

interface Call extends PortOptions {
  readonly method?: "POST";
  readonly query?: Query;
  readonly body?: object;
}

/** A call that the routes refused. */
class PortError extends Error {
  override readonly name: string = "PortError";
  readonly code: string;

  constructor(code: string, message: string, cause: unknown) {
    super(message, { cause });
    this.code = code;
  }
}

/** The native routes, called in this process with the scopes and the reach of a caller. */
export class LocalApi {
  readonly #app: Hono<ServerEnv & { readonly Bindings: ServerEnv["Variables"] }>;
  readonly #context: ServerContext;

  constructor(context: ServerContext) {
    this.#context = context;
    this.#app = new Hono<ServerEnv & { readonly Bindings: ServerEnv["Variables"] }>();
    this.#app.use(async (c, next) => {
      c.set("caller", c.env.caller);
      c.set("requestId", c.env.requestId);
      await next();
    });
    this.#app.onError((error) => {
      throw error;
    });
    this.#app.route("/", nativeRoutes(context));
  }

  /** @throws PortError why the route refuses the call */
  async call<Answer>(caller: Caller, path: readonly string[], call: Call = {}): Promise<Answer> {
    const { method = "GET", query = {}, body, signal } = call;
    const url = new URL(`http://localhost/${path.map(encodeURIComponent).join("/")}`);
    for (const [name, value] of Object.entries(query)) {
      const values = typeof value === "object" ? value : value === undefined ? [] : [String(value)];
      for (const one of values) url.searchParams.append(name, one);
    }
    const request = new Request(url, {
      method,
      ...(body !== undefined && { body: JSON.stringify(body), headers: { "content-type": "application/json" } }),
      ...(signal !== undefined && { signal }),
    });
    try {
      const response = await this.#app.fetch(request, { caller, requestId: this.#context.newId() });
      // The routes answer in the form of the wire types.
      return (await response.json()) as Answer;
    } catch (error) {
      const { code, message } = httpError(error, viewOf(caller), this.#context.clock.now());
      throw new PortError(code, message, error);
    }
  }
}

/** Makes the port of a caller. `caller` is asked before each call. */
export function localPort(api: LocalApi, caller: () => Caller): McpPort {
  const call = <Answer>(path: readonly string[], options?: Call): Promise<Answer> => api.call(caller(), path, options);
  return {
    session: (name) => localSession(call, ["sessions", JSON.stringify(name)]),
    listSessions: (query) => call(["sessions"], { query: listed(query) }),
    listGlobalSessions: (query) => call(["cluster", "sessions"], { query: listed(query) }),
    approvals: async ({ global }) => (await call<ApprovalList>(["approvals"], { query: { global } })).approvals,
  };
}

function listed({ labels, prefix, after, ...rest }: SessionListQuery | GlobalSessionListQuery): Query {
  const label = labels && Object.entries(labels).map(([key, value]) => `${key}:${value}`);
  return { ...rest, label, prefix: prefix && JSON.stringify(prefix), after: after && JSON.stringify(after) };
}

function localSession(
  call: <Answer>(path: readonly string[], options?: Call) => Promise<Answer>,
  own: readonly string[],
): McpSession {
  const turn = (id: string, options?: Call): Promise<Turn> => call([...own, "turns", id], options);
  return {
    get: () => call(own),
    enqueue: async (prompt) => {
      return (await call<{ readonly id: string }>([...own, "turns"], { method: "POST", body: { prompt } })).id;
    },
    turn,
    wait: async (id, options) => {
      for (;;) {
        options.signal?.throwIfAborted();
        const found = await turn(id, { ...options, query: { waitMs: WAIT_MS } });
        if (found.reply !== undefined || found.error !== undefined || !UNFINISHED.has(found.state)) return found;
      }
    },
    turns: ({ limit }) => call([...own, "turns"], { query: { limit } }),
    interruptTurn: (id) => call([...own, "turns", id, "interrupt"], { method: "POST" }),
    approvals: async () => (await call<{ readonly approvals: readonly Approval[] }>([...own, "approvals"])).approvals,
    approve: (id, body) => call([...own, "approvals", id, "approve"], { method: "POST", body }),
    deny: (id, message) => call([...own, "approvals", id, "deny"], { method: "POST", body: { message } }),
  };
}

const UNFINISHED: ReadonlySet<Turn["state"]> = new Set(["accepted", "queued", "running"]);

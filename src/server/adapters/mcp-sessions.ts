import type { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";
import { WebStandardStreamableHTTPServerTransport } from "@modelcontextprotocol/sdk/server/webStandardStreamableHttp.js";
import { isInitializeRequest } from "@modelcontextprotocol/sdk/types.js";
import type { Caller } from "../http/caller.ts";
import { RequestError } from "../http/request-error.ts";
import type { ServerContext } from "../http/server-context.ts";
import { LocalApi, localPort } from "./local-port.ts";
import { mcpServer } from "./mcp-tools.ts";

/** How many sessions of MCP a caller may have, and all callers together. The least recently used one ends for a new one. */
const MOST_OF_CALLER = 64;
const MOST = 1_000;

const SESSION_HEADER = "mcp-session-id";

/** A session of MCP: what one client has initialized. */
interface Entry {
  readonly transport: WebStandardStreamableHTTPServerTransport;
  readonly server: McpServer;
  /** Who made the latest request. Always the same id, with the scopes and the reach that it has now. */
  caller: Caller;
}

/** The sessions of MCP over HTTP. They are in memory: clients initialize again after a restart of the server. */
export class McpSessions {
  readonly #context: ServerContext;
  readonly #api: LocalApi;
  /** By id, the least recently used first. */
  readonly #entries = new Map<string, Entry>();

  constructor(context: ServerContext) {
    this.#context = context;
    this.#api = new LocalApi(context);
  }

  /** Answers a request. @throws RequestError `NOT_FOUND` for a session that has ended, is unknown or is another caller's */
  async handle(request: Request, body: unknown, caller: Caller): Promise<Response> {
    const id = request.headers.get(SESSION_HEADER);
    const entry = id === null ? await this.#begin(body, caller) : this.#used(id, caller);
    return await entry.transport.handleRequest(request, body === undefined ? {} : { parsedBody: body });
  }

  #used(id: string, caller: Caller): Entry {
    const entry = this.#entries.get(id);
    if (entry === undefined || entry.caller.id !== caller.id) {
      throw new RequestError("NOT_FOUND", "There is no such session of MCP, or it has ended. Initialize again.");
    }
    entry.caller = caller;
    this.#entries.delete(id);
    this.#entries.set(id, entry);
    return entry;
  }

  async #begin(body: unknown, caller: Caller): Promise<Entry> {
    if (!isInitializeRequest(body)) {
      throw new RequestError("MALFORMED_REQUEST", "The request has no `mcp-session-id`, and is no `initialize`.");
    }
    this.#makeRoom(caller);
    const { newId, streams, clock } = this.#context;
    const transport = new WebStandardStreamableHTTPServerTransport({
      sessionIdGenerator: newId,
      keepAliveMs: streams.pingMs,
      onsessioninitialized: (id) => void this.#entries.set(id, entry),
      onsessionclosed: (id) => void this.#entries.delete(id),
    });
    const server = mcpServer({
      port: localPort(this.#api, () => entry.caller),
      scopes: caller.scopes,
      leaving: streams.draining,
      clock,
    });
    const entry: Entry = { transport, server, caller };
    await server.connect(transport);
    return entry;
  }

  #makeRoom(caller: Caller): void {
    const own = [...this.#entries].filter(([, entry]) => entry.caller.id === caller.id);
    const [oldest] = own.length >= MOST_OF_CALLER ? own : this.#entries.size >= MOST ? this.#entries : [];
    if (oldest === undefined) return;
    const [id, { server }] = oldest;
    this.#entries.delete(id);
    // Its requests end with it.
    void server.close();
  }
}

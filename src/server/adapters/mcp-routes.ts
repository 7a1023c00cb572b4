import { Hono } from "hono";
import { readJson } from "../http/body.ts";
import { RequestError } from "../http/request-error.ts";
import type { ServerContext, ServerEnv } from "../http/server-context.ts";
import type { McpSessions } from "./mcp-sessions.ts";

/** Returns the route of MCP over streamable HTTP, to be mounted at `/mcp`. */
export function mcpRoutes(context: ServerContext): Hono<ServerEnv> {
  const app = new Hono<ServerEnv>();
  let sessions: Promise<McpSessions> | undefined;
  app.on(["POST", "DELETE"], "/", async (c) => {
    const body = c.req.method === "POST" ? await readJson(c.req.raw) : undefined;
    if (c.req.method === "POST" && body === undefined) {
      throw new RequestError("MALFORMED_REQUEST", "The body must be a message of JSON-RPC.");
    }
    // The MCP SDK is loaded with the first request: most servers have none.
    sessions ??= import("./mcp-sessions.ts").then((module) => new module.McpSessions(context));
    return await (await sessions).handle(c.req.raw, body, c.get("caller"));
  });
  return app;
}

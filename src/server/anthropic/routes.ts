import { Hono } from "hono";
import { RequestError } from "../http/request-error.ts";
import type { ServerContext, ServerEnv } from "../http/server-context.ts";
import { agentRoutes } from "./agent-routes.ts";
import { eventRoutes } from "./event-routes.ts";
import { sessionRoutes } from "./session-routes.ts";
import { UNSUPPORTED } from "./support-table.ts";
import { threadRoutes } from "./thread-routes.ts";

/** A subset of Anthropic's Managed Agents API, to be mounted at its `/v1`. The guide has the table of what it supports. */
export function anthropicRoutes(context: ServerContext): Hono<ServerEnv> {
  const app = new Hono<ServerEnv>();
  for (const routes of [sessionRoutes, eventRoutes, threadRoutes, agentRoutes]) app.route("/", routes(context));
  for (const { path, sdk } of UNSUPPORTED) {
    const refuse = (): never => {
      throw new RequestError("NOT_FOUND", `\`client.beta.${sdk}\` is not supported by this server.`);
    };
    app.all(path, refuse);
    app.all(`${path}/*`, refuse);
  }
  return app;
}

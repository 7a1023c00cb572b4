import { Hono } from "hono";
import { requireScope } from "../access/reach.ts";
import { RequestError } from "../http/request-error.ts";
import type { ServerContext, ServerEnv } from "../http/server-context.ts";
import { agentFor, agentResource, agentsFor, versionOf } from "./agents.ts";
import { ENVIRONMENT } from "./environments.ts";
import { ListQuery } from "./list-query.ts";
import { pageOf } from "./short-list.ts";
import { IN_CODE } from "./support-table.ts";

/** The routes of agents and environments, which clients only read. */
export function agentRoutes({ supervisor }: ServerContext): Hono<ServerEnv> {
  const app = new Hono<ServerEnv>();

  app.get("/agents", (c) => {
    requireScope(c.get("caller"), "read");
    const query = new ListQuery(c.req.url, ["created_at", "include_archived", "limit", "page"]);
    const agents = agentsFor(supervisor, c.get("caller"));
    return c.json(pageOf(query, agents, agentResource));
  });

  app.get("/agents/:id", (c) => {
    requireScope(c.get("caller"), "read");
    const agent = agentFor(supervisor, c.get("caller"), c.req.param("id"));
    const wanted = new ListQuery(c.req.url, ["version"]).one("version");
    if (agent === undefined) throw noAgent();
    if (wanted !== undefined && Number(wanted) !== versionOf(agent.options)) {
      throw new RequestError("NOT_FOUND", "The agent has another version now; versions of the past are not kept.");
    }
    return c.json(agentResource(agent));
  });

  app.get("/agents/:id/versions", (c) => {
    requireScope(c.get("caller"), "read");
    const query = new ListQuery(c.req.url, ["limit", "page"]);
    const agent = agentFor(supervisor, c.get("caller"), c.req.param("id"));
    if (agent === undefined) throw noAgent();
    return c.json(pageOf(query, [agent], agentResource));
  });

  for (const { method, path } of IN_CODE) {
    app.on(method, path, () => {
      throw new RequestError("FORBIDDEN", "Agents are templates of the application; they change in its code.");
    });
  }

  app.get("/environments", (c) => {
    requireScope(c.get("caller"), "read");
    const query = new ListQuery(c.req.url, ["include_archived", "limit", "page"]);
    return c.json(pageOf(query, [ENVIRONMENT], (one) => one));
  });

  app.get("/environments/:id", (c) => {
    requireScope(c.get("caller"), "read");
    if (c.req.param("id") === ENVIRONMENT.id) return c.json(ENVIRONMENT);
    throw new RequestError(
      "NOT_FOUND",
      `There is no environment of this id; this server has one, \`${ENVIRONMENT.id}\`.`,
    );
  });

  return app;
}

function noAgent(): RequestError {
  return new RequestError("NOT_FOUND", "There is no agent of this id.");
}

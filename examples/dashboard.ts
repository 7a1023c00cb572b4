import type { Supervisor } from "castellan";
import { dashboard } from "castellan/dashboard";
import { type ListeningServer, listen } from "castellan/server";
import express from "express";
import fastify, { type FastifyInstance } from "fastify";
import { Hono } from "hono";

// #region listen
/** A server with its page at /dashboard/. */
export async function serveWithPage(supervisor: Supervisor, tokens: string): Promise<ListeningServer> {
  const page = dashboard(supervisor, { auth: tokens });
  return await listen(supervisor, { tokens, mounts: { "/dashboard": page } });
}
// #endregion

// #region hono
export function honoApp(supervisor: Supervisor, tokens: string): Hono {
  const page = dashboard(supervisor, { auth: tokens, basePath: "/agents" });
  return new Hono().all("/agents/*", (c) => page(c.req.raw)).all("/agents", (c) => page(c.req.raw));
}
// #endregion

// #region express
export function expressApp(supervisor: Supervisor, tokens: string): ReturnType<typeof express> {
  const page = dashboard(supervisor, { auth: tokens, basePath: "/agents" });
  const app = express();
  // Before `express.json()`, which would read the bodies that the page sends.
  app.use("/agents", page.listener);
  return app;
}
// #endregion

// #region fastify
export function fastifyApp(supervisor: Supervisor, tokens: string): FastifyInstance {
  const page = dashboard(supervisor, { auth: tokens, basePath: "/agents" });
  const app = fastify();
  app.register(async (agents) => {
    // The page reads its bodies itself.
    agents.removeAllContentTypeParsers();
    agents.addContentTypeParser("*", (_request, _body, done) => done(null));
    agents.all("/agents", (request, reply) => page.listener(request.raw, reply.hijack().raw));
    agents.all("/agents/*", (request, reply) => page.listener(request.raw, reply.hijack().raw));
  });
  return app;
}
// #endregion

// #region next
/** What `app/agents/[[...path]]/route.ts` exports. */
export function nextRoute(supervisor: Supervisor, tokens: string) {
  const page = dashboard(supervisor, { auth: tokens, basePath: "/agents" });
  const handle = (request: Request): Promise<Response> => page(request);
  return { GET: handle, POST: handle, PATCH: handle, DELETE: handle };
}
// #endregion

// #region own
/** A page for the staff of an application, by its own cookies. It only reads. */
export function staffPage(supervisor: Supervisor, staffOf: (cookie: string | null) => string | undefined): Hono {
  const page = dashboard(supervisor, {
    basePath: "/agents",
    readOnly: true,
    auth: ({ headers }) => {
      const id = staffOf(headers.get("cookie"));
      return id === undefined ? undefined : { id, scopes: new Set(["read"] as const) };
    },
  });
  return new Hono().all("/agents/*", (c) => page(c.req.raw));
}
// #endregion

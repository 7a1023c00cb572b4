import { getRequestListener } from "@hono/node-server";
import type { Supervisor } from "castellan";
import { type ListeningServer, listen, type ServerHandler, serverHandler } from "castellan/server";
import express, { type Express } from "express";
import fastify, { type FastifyInstance } from "fastify";
import { Hono } from "hono";

// #region listen
export async function serve(supervisor: Supervisor): Promise<ListeningServer> {
  const server = await listen(supervisor, { port: 0 });
  console.log(`Serving at ${server.url}`);
  return server;
}
// #endregion

// #region drain
/** Ends the application: streams reconnect elsewhere, running turns finish, then the port closes. */
export async function shutDown(supervisor: Supervisor, server: ListeningServer): Promise<void> {
  server.drain();
  await supervisor.drain({ deadline: "25s" });
  await server.close();
}
// #endregion

// #region authenticate
export function handlerFor(supervisor: Supervisor, userOf: (cookie: string) => string | undefined): ServerHandler {
  return serverHandler(supervisor, {
    authenticate: ({ headers }) => {
      const user = userOf(headers.get("cookie") ?? "");
      if (user === undefined) return undefined;
      // Each user reaches the sessions with their label, and sees no others.
      return { id: user, scopes: new Set(["read", "talk", "approve"]), labels: { user } };
    },
  });
}
// #endregion

// #region hono
export function honoApp(handler: ServerHandler): Hono {
  return new Hono().all("/castellan/*", (c) => handler(c.req.raw)).all("/anthropic/*", (c) => handler(c.req.raw));
}
// #endregion

// #region express
export function expressApp(handler: ServerHandler): Express {
  const listener = getRequestListener(handler);
  const app = express();
  // Before `express.json()` and the like, which read the body.
  app.all(["/castellan/{*path}", "/anthropic/{*path}"], (request, response) => listener(request, response));
  return app.use(express.json());
}
// #endregion

// #region fastify
export function fastifyApp(handler: ServerHandler): FastifyInstance {
  const listener = getRequestListener(handler);
  const app = fastify();
  app.register(async (scope) => {
    // The handler reads the body itself.
    scope.removeAllContentTypeParsers();
    scope.addContentTypeParser("*", (_request, _body, done) => done(null));
    for (const path of ["/castellan/*", "/anthropic/*"]) {
      scope.all(path, (request, reply) => {
        reply.hijack();
        void listener(request.raw, reply.raw);
      });
    }
  });
  return app;
}
// #endregion

// #region next
// app/castellan/[...path]/route.ts, and the same for app/anthropic
export function nextRoute(handler: ServerHandler): Record<"GET" | "POST" | "PATCH" | "DELETE", ServerHandler> {
  return { GET: handler, POST: handler, PATCH: handler, DELETE: handler };
}
// #endregion

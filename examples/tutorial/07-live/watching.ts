import { healthHandlers, type Supervisor } from "castellan";
import { dashboard } from "castellan/dashboard";
import { prometheus } from "castellan/prometheus";
import { Hono } from "hono";

/** Probes, metrics, and the page of all sessions. `tokens` is the file with the tokens of those who may see it. */
export function watching(supervisor: Supervisor, tokens: string): Hono {
  const { livez, readyz } = healthHandlers(supervisor);
  const metrics = prometheus();
  const page = dashboard(supervisor, { auth: tokens, basePath: "/agents" });
  const app = new Hono();
  app.get("/livez", () => livez());
  app.get("/readyz", () => readyz());
  app.get("/metrics", (c) => metrics.handler(c.req.raw));
  app.all("/agents", (c) => page(c.req.raw));
  app.all("/agents/*", (c) => page(c.req.raw));
  return app;
}

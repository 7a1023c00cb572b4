import { healthHandlers, type ProbeResult, probe, type Supervisor, session } from "castellan";
import { Hono } from "hono";

// #region handlers
export function healthRoutes(supervisor: Supervisor): Hono {
  const { livez, readyz } = healthHandlers(supervisor);
  const app = new Hono();
  app.get("/livez", () => livez());
  app.get("/readyz", () => readyz());
  app.get("/health", async (c) => {
    const health = await supervisor.health();
    return c.json(health, health.status === "unhealthy" ? 503 : 200);
  });
  return app;
}
// #endregion

// #region session
export async function healthOf(name: string): Promise<string> {
  const health = await session(name).health();
  return health.status === "healthy" ? "healthy" : `${health.status}: ${health.reason}`;
}
// #endregion

// #region probe
export async function modelAnswers(): Promise<ProbeResult> {
  return await probe("assistant", { timeout: "30s" });
}
// #endregion

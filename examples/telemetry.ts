import { channel } from "node:diagnostics_channel";
import { type CastellanEvents, type EventLogger, logEvents, Supervisor, type SupervisorOptions } from "castellan";
import { instrument } from "castellan/otel";
import { type Prometheus, prometheus } from "castellan/prometheus";
import { Hono } from "hono";

// #region otel
export async function startTraced(options: SupervisorOptions = {}): Promise<AsyncDisposable> {
  const stop = instrument(); // uses the global providers; or instrument({ tracer, meter })
  const supervisor = await Supervisor.start([{ name: "assistant" }], options);
  return {
    [Symbol.asyncDispose]: async () => {
      await supervisor.stop();
      stop();
    },
  };
}
// #endregion

// #region prometheus
export function metricsRoute(): { readonly app: Hono; readonly metrics: Prometheus } {
  const metrics = prometheus();
  const app = new Hono();
  app.get("/metrics", (c) => metrics.handler(c.req.raw));
  return { app, metrics };
}
// #endregion

// #region logs
export function logTo(logger: EventLogger): () => void {
  return logEvents(logger); // pino() is one
}
// #endregion

// #region channel
export function alarmOnQuarantine(alarm: (session: unknown, reason: string | undefined) => void): () => void {
  const quarantines = channel("castellan:session:quarantine");
  const listener = (message: unknown): void => {
    const { session, lastExits } = message as CastellanEvents["castellan:session:quarantine"];
    alarm(session, lastExits.at(-1)?.message);
  };
  quarantines.subscribe(listener);
  return () => void quarantines.unsubscribe(listener);
}
// #endregion

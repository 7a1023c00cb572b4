// #region app
import { Hono } from "hono";
import { answer, answerStream } from "./assistants.ts";

export function createApp(): Hono {
  const app = new Hono();
  app.post("/assistants/:assistant", async (c) => {
    const { prompt } = await c.req.json();
    return await answer(c.req.param("assistant"), c.req.header("x-user") ?? "guest", prompt);
  });
  app.post("/assistants/:assistant/stream", async (c) => {
    const { prompt } = await c.req.json();
    return answerStream(c.req.param("assistant"), c.req.header("x-user") ?? "guest", prompt);
  });
  return app;
}
// #endregion

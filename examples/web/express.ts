// #region app
import { pipeline } from "node:stream/promises";
import express, { type Express, type Response as ExpressResponse } from "express";
import { answer, answerStream } from "./assistants.ts";

export function createApp(): Express {
  const app = express();
  app.use(express.json());
  app.post("/assistants/:assistant", async (request, response) => {
    const user = request.get("x-user") ?? "guest";
    await send(await answer(request.params.assistant, user, request.body.prompt), response);
  });
  app.post("/assistants/:assistant/stream", async (request, response) => {
    const user = request.get("x-user") ?? "guest";
    await send(answerStream(request.params.assistant, user, request.body.prompt), response);
  });
  return app;
}

/** Sends a Web-standard response. When the client disconnects, the reader is detached; the turn continues. */
async function send(from: Response, to: ExpressResponse): Promise<void> {
  to.status(from.status).setHeaders(from.headers);
  if (from.body === null) to.end();
  else await pipeline(from.body, to).catch(() => {});
}
// #endregion

// #region app
import fastify, { type FastifyInstance } from "fastify";
import { answer, answerStream } from "./assistants.ts";

interface Ask {
  readonly Params: { assistant: string };
  readonly Body: { prompt: string };
  readonly Headers: { "x-user"?: string };
}

export function createApp(): FastifyInstance {
  const app = fastify();
  app.post<Ask>("/assistants/:assistant", async ({ params, body, headers }) => {
    return await answer(params.assistant, headers["x-user"] ?? "guest", body.prompt);
  });
  app.post<Ask>("/assistants/:assistant/stream", async ({ params, body, headers }) => {
    return answerStream(params.assistant, headers["x-user"] ?? "guest", body.prompt);
  });
  return app;
}
// #endregion

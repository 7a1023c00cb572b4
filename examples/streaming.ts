import { session, stream, type Turn, uiMessagePrompt } from "castellan";
import { Hono } from "hono";

// #region deltas
export async function print(prompt: string, write: (text: string) => void): Promise<number> {
  const turn = stream("assistant", prompt);
  for await (const { type, text } of turn.deltas()) write(type === "thinking" ? `(${text})` : text);
  const { costUsd } = await turn.result();
  return costUsd;
}
// #endregion

// #region stop
export async function firstSentence(prompt: string): Promise<string> {
  const turn = stream("assistant", prompt);
  let text = "";
  for await (const piece of turn.text()) {
    text += piece;
    if (text.includes(". ")) break; // detaches from the turn, which continues
  }
  await turn.interrupt(); // stops it
  await turn.result().catch(() => {}); // TURN_INTERRUPTED, unless the turn had already ended
  return text.split(". ")[0] ?? "";
}
// #endregion

// #region steer
/** Gives a message to the running turn, or asks a new question if that turn has just ended. Returns the turn that has it. */
export async function steer(turnId: string, message: string, by: string): Promise<Turn | undefined> {
  const turn = await session("assistant").turn(turnId);
  return await turn?.steer(message, { by, afterEnd: "enqueue" });
}
// #endregion

export function createApp(): Hono {
  const app = new Hono();

  // #region sse
  app.post("/turns", async (c) => {
    const id = await session("assistant").enqueue(await c.req.text());
    return c.json({ id });
  });

  app.get("/turns/:id", async (c) => {
    const turn = await session("assistant").turn(c.req.param("id"));
    if (turn === undefined) return c.notFound();
    return turn.toResponse({ lastEventId: c.req.header("last-event-id") ?? null });
  });

  app.delete("/turns/:id", async (c) => {
    const turn = await session("assistant").turn(c.req.param("id"));
    await turn?.interrupt();
    return c.body(null, 204);
  });
  // #endregion

  // #region chat
  app.post("/api/chat", async (c) => {
    const { messages } = await c.req.json();
    return stream("assistant", uiMessagePrompt(messages.at(-1))).toUIMessageStreamResponse();
  });
  // #endregion

  return app;
}

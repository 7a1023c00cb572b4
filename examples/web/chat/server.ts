import type { UIMessage } from "ai";
import {
  publicError,
  type Session,
  Supervisor,
  type SupervisorOptions,
  session,
  type Turn,
  template,
  uiMessagePrompt,
  uiMessages,
} from "castellan";
import { type Context, Hono } from "hono";

// #region start
/** One session for each user and chat. Its turns run again if the application dies. */
export async function startChats(options: SupervisorOptions = {}): Promise<Supervisor> {
  const chat = template("chat", (_user: string, _chat: string) => ({
    approvals: { timeout: "1h" },
    permissionMode: "default",
    onInterruptedTurn: "retry",
  }));
  return await Supervisor.start([chat], { ...options, capacity: { maxProcesses: 16 } });
}
// #endregion

export function createApp(): Hono {
  const app = new Hono();

  // #region routes
  const userOf = (c: Context): string => c.req.header("x-user") ?? "guest";
  const chatOf = (c: Context, id: string): Session => session(["chat", userOf(c), id]);

  // A file that Claude cannot read is refused with `INVALID_OPTIONS`.
  app.onError((error, c) => {
    const { code, message } = publicError(error);
    return c.json({ code, message }, code === "INVALID_OPTIONS" ? 400 : 503);
  });

  app.post("/api/chat", async (c) => {
    const { id, messages } = (await c.req.json()) as { id: string; messages: readonly UIMessage[] };
    const [message] = messages.slice(-1);
    if (message?.role !== "user") return c.json({ code: "INVALID_OPTIONS" }, 400);
    // A message that is sent again, after a broken connection, is the same turn.
    const terms = { idempotencyKey: message.id, by: userOf(c) };
    const turnId = await chatOf(c, id).enqueue(uiMessagePrompt(message), terms);
    const turn = await chatOf(c, id).turn(turnId);
    return turn?.toUIMessageStreamResponse() ?? c.notFound();
  });

  app.get("/api/chat/:id/stream", async (c) => {
    const chat = chatOf(c, c.req.param("id"));
    const turn = (await runningTurn(chat)) ?? (await lastTurnAfter(chat, c.req.query("answered")));
    return turn?.toUIMessageStreamResponse() ?? c.body(null, 204);
  });

  // Without the answer that is being written, which `resume` gets, also if it has just ended.
  app.get("/api/chat/:id/messages", async (c) => {
    const { messages } = await uiMessages(chatOf(c, c.req.param("id")), { limit: 20 });
    return c.json(messages);
  });

  app.delete("/api/chat/:id/stream", async (c) => {
    await (await runningTurn(chatOf(c, c.req.param("id"))))?.interrupt();
    return c.body(null, 204);
  });

  app.post("/api/chat/:id/approvals/:approval", async (c) => {
    const { id, approval } = c.req.param();
    const pending = chatOf(c, id)
      .approvals()
      .find((one) => one.id === approval);
    const { approved } = (await c.req.json()) as { approved: boolean };
    const isFirst = approved ? pending?.approve() : pending?.deny("The user does not want this.");
    return c.body(null, isFirst === true ? 204 : 409);
  });
  // #endregion

  return app;
}

// #region turns
/** Returns the turn whose answer is being written, or is still to be. */
async function runningTurn(chat: Session): Promise<Turn | undefined> {
  const [running] = await chat.turns({ state: ["queued", "running"], limit: 1 });
  return running === undefined ? undefined : await chat.turn(running.id);
}

/** Returns the last turn, unless it is the one whose answer the page has, or the page does not say which. */
async function lastTurnAfter(chat: Session, answered: string | undefined): Promise<Turn | undefined> {
  const [last] = answered === undefined ? [] : await chat.turns({ limit: 1 });
  return last === undefined || last.id === answered ? undefined : await chat.turn(last.id);
}
// #endregion

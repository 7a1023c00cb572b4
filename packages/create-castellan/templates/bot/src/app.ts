import { createHash, timingSafeEqual } from "node:crypto";
import { publicError } from "castellan";
import { Hono } from "hono";
import { answer, type Message } from "./bot.ts";

/** What the messenger calls for each message. If there is a secret, it has to send it as `authorization: Bearer …`. */
export function createApp(secret?: string): Hono {
  const app = new Hono();

  app.use(async (c, next) => {
    if (secret !== undefined && !isSame(c.req.header("authorization") ?? "", `Bearer ${secret}`))
      return c.text("", 401);
    return await next();
  });

  app.post("/messages", async (c) => {
    const message = messageOf(await c.req.json().catch(() => undefined));
    if (message === undefined) return c.json({ error: 'Expected {"id": "…", "chat": "…", "text": "…"}.' }, 400);
    return c.json({ text: await answer(message) });
  });

  app.onError((error, c) => {
    console.error(error);
    return c.json(publicError(error), 500);
  });

  return app;
}

function messageOf(body: unknown): Message | undefined {
  if (typeof body !== "object" || body === null) return undefined;
  const { id, chat, text } = body as Record<string, unknown>;
  const isMessage = [id, chat, text].every((part) => typeof part === "string" && part !== "");
  return isMessage ? (body as Message) : undefined;
}

/** Compares in constant time, so that nobody finds the secret by its first letters. */
function isSame(one: string, other: string): boolean {
  const [a, b] = [one, other].map((text) => createHash("sha256").update(text).digest());
  return a !== undefined && b !== undefined && timingSafeEqual(a, b);
}

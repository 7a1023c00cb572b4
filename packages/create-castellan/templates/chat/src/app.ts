import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { type HistoryEntry, publicError, session } from "castellan";
import { type Context, Hono } from "hono";
import { getCookie, setCookie } from "hono/cookie";

const PAGE = readFileSync(new URL("page.html", import.meta.url), "utf8");
const YEAR = 365 * 24 * 60 * 60;

/** The page, and what it asks for. */
export function createApp(): Hono {
  const app = new Hono();

  app.get("/", (c) => {
    chatOf(c);
    return c.html(PAGE);
  });

  /** What was said before, for a page that opens. */
  app.get("/history", async (c) => {
    const { entries } = await chatOf(c).history({ limit: 50 });
    return c.json(entries.flatMap(shown));
  });

  /** Accepts a message. The page chooses its id, so a message that it sends again, after a lost connection, counts once. */
  app.post("/messages", async (c) => {
    const { id, text } = await c.req.json<{ readonly id: string; readonly text: string }>();
    const turn = await chatOf(c).enqueue(text, { idempotencyKey: id });
    return c.json({ turn }, 202);
  });

  /** Streams the answer to a message. A page that lost its connection continues where it was. */
  app.get("/turns/:id", async (c) => {
    const turn = await chatOf(c).turn(c.req.param("id"));
    return turn?.toResponse({ lastEventId: c.req.header("last-event-id") ?? null }) ?? c.notFound();
  });

  app.onError((error, c) => {
    console.error(error);
    return c.json(publicError(error), 500);
  });

  return app;
}

/** The session of the visitor, whom a cookie names. If your application has a login, take the user from it instead. */
function chatOf(c: Context) {
  let visitor = getCookie(c, "visitor");
  if (visitor === undefined || !/^[\w-]{36}$/.test(visitor)) {
    visitor = randomUUID();
    setCookie(c, "visitor", visitor, { httpOnly: true, sameSite: "Lax", maxAge: YEAR, path: "/" });
  }
  return session(["chat", visitor]);
}

/** What the page shows of a turn: the message, what Claude wrote so far, and the turn to follow if it has not ended. */
function shown(entry: HistoryEntry) {
  if (entry.type !== "turn") return [];
  const { id, prompt, parts, state, error } = entry;
  const answer = parts.flatMap((part) => (part.type === "text" ? [String(part.text)] : [])).join("");
  const isOpen = state === "queued" || state === "running";
  const failure = answer === "" ? "This was not answered." : "The answer is incomplete.";
  return [{ turn: id, text: String(prompt), answer, isOpen, ...(error !== undefined && { error: failure }) }];
}

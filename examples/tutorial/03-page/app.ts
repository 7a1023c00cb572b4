import { readFile } from "node:fs/promises";
import { type HistoryTurn, type Session, session } from "castellan";
import { type Context, Hono } from "hono";

const page = await readFile(new URL("page.html", import.meta.url), "utf8");

/** The session of the user in the address. A real application takes the user from its login. */
function chatOf(c: Context): Session {
  return session(["chat", c.req.param("user") ?? "guest"]);
}

export function createApp(): Hono {
  const app = new Hono();
  app.get("/:user", (c) => c.html(page));

  // What was said before. A turn that still runs is followed, so its answer is left out.
  app.get("/:user/said", async (c) => {
    const { entries } = await chatOf(c).history({ limit: 50 });
    const turns = entries.filter((entry) => entry.type === "turn");
    const running = turns.find(({ endedAt }) => endedAt === undefined);
    return c.json({ said: turns.flatMap(linesOf), running: running?.id });
  });

  // The journal has the turn when this returns.
  app.post("/:user/turns", async (c) => c.json({ id: await chatOf(c).enqueue(await c.req.text()) }));

  app.get("/:user/turns/:id", async (c) => {
    const turn = await chatOf(c).turn(c.req.param("id"));
    return turn?.toResponse({ lastEventId: c.req.header("last-event-id") ?? null }) ?? c.notFound();
  });
  return app;
}

function linesOf({ prompt, parts, endedAt, error }: HistoryTurn): { who: string; text: string }[] {
  const texts = parts.flatMap((part) => (part.type === "text" ? [String(part.text)] : []));
  if (error !== undefined) texts.push("[The answer is incomplete.]");
  const answer = endedAt === undefined ? [] : [{ who: "claude", text: texts.join("\n") }];
  return [{ who: "you", text: String(prompt) }, ...answer];
}

import { readFile } from "node:fs/promises";
// #region imports
import { type GlobalSession, global, type HistoryTurn, session } from "castellan";
// #endregion
import { type Context, Hono } from "hono";

const page = await readFile(new URL("page.html", import.meta.url), "utf8");

// #region chat
/** The session of the user in the address. A real application takes the user from its login. */
function chatOf(c: Context): GlobalSession {
  return session(global(["chat", c.req.param("user") ?? "guest"]));
}
// #endregion

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

  // #region approvals
  app.post("/:user/approvals/:id", async (c) => {
    const pending = await chatOf(c).approvals();
    const approval = pending.find(({ id }) => id === c.req.param("id"));
    const by = c.req.param("user");
    const { approve }: { approve: boolean } = await c.req.json();
    const isFirst = await (approve
      ? approval?.approve({ by })
      : approval?.deny("The user does not want this.", { by }));
    return c.body(null, isFirst === true ? 204 : 409); // somebody else was faster, or it has expired
  });
  // #endregion
  return app;
}

function linesOf({ prompt, parts, endedAt, error }: HistoryTurn): { who: string; text: string }[] {
  const texts = parts.flatMap((part) => (part.type === "text" ? [String(part.text)] : []));
  if (error !== undefined) texts.push("[The answer is incomplete.]");
  const answer = endedAt === undefined ? [] : [{ who: "claude", text: texts.join("\n") }];
  return [{ who: "you", text: String(prompt) }, ...answer];
}

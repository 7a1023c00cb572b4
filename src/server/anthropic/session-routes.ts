import { Hono } from "hono";
import type { SessionInfo } from "../../application/finding.ts";
import { CastellanError } from "../../errors.ts";
import { requireScope } from "../access/reach.ts";
import { readJson } from "../http/body.ts";
import { RequestError } from "../http/request-error.ts";
import type { ServerContext, ServerEnv } from "../http/server-context.ts";
import { createSession } from "./creating.ts";
import { nameOfSessionId } from "./ids.ts";
import { ListQuery } from "./list-query.ts";
import { noteOf } from "./notes.ts";
import { readCreation, readUpdate } from "./requests.ts";
import { identityOf, RequestsAtWork } from "./retries.ts";
import { sendEvents } from "./sending.ts";
import { Serial } from "./serial.ts";
import { refuseArchived, sessionFor } from "./session-access.ts";
import { isStatus, sessionPage } from "./session-page.ts";
import { portOf } from "./session-port.ts";
import { updateSession } from "./updating.ts";
import { spentBy, type WireSession, wireSession } from "./wire-session.ts";

const LIST_PARAMETERS = [
  "agent_id",
  "agent_version",
  "created_at",
  "include_archived",
  "limit",
  "order",
  "page",
  "statuses",
];

const MOST_LISTED = 100;

/** The routes of sessions, without those of their events. */
export function sessionRoutes(context: ServerContext): Hono<ServerEnv> {
  const { supervisor, clock, newId } = context;
  const app = new Hono<ServerEnv>();
  const creations = new RequestsAtWork<WireSession>();
  const changes = new Serial();
  const shown = async (info: SessionInfo): Promise<WireSession> => await wireSession(context, info);

  app.post("/sessions", async (c) => {
    const caller = c.get("caller");
    requireScope(caller, "operate");
    const body = await readJson(c.req.raw);
    const creation = readCreation(body);
    if (creation.initial_events.length > 0) requireScope(caller, "talk");
    const identity = identityOf(c.req.raw, caller, body);
    const session = await creations.run(identity, async () => {
      const info = await createSession({ supervisor, clock, newId, caller, identity }, creation);
      const port = portOf(supervisor, info.name);
      // The session's own name tells these from all others, so a retry finds them by their keys.
      const own = { ...identity, isRetry: false, key: "created" };
      const spent = async (): Promise<number> => (await spentBy(supervisor, info.name)).costUsd;
      await sendEvents({ port, info, clock, identity: own, by: caller.id, spent }, creation.initial_events);
      return await shown((await supervisor.findSession(info.name)) ?? info);
    });
    return c.json(session);
  });

  app.get("/sessions", async (c) => {
    const caller = c.get("caller");
    requireScope(caller, "read");
    const query = new ListQuery(c.req.url, LIST_PARAMETERS);
    const statuses = query.many("statuses");
    const unknown = statuses?.find((status) => !isStatus(status));
    if (unknown !== undefined) throw new RequestError("MALFORMED_REQUEST", "`statuses` has an unknown status.");
    const version = query.one("agent_version");
    const { sessions, ...pages } = await sessionPage(supervisor, caller, {
      order: query.order("desc"),
      limit: query.limit(MOST_LISTED, 20),
      page: query.one("page"),
      agentId: query.one("agent_id"),
      agentVersion: version === undefined ? undefined : Number(version),
      created: query.created(),
      statuses,
      includeArchived: query.one("include_archived") === "true",
    });
    return c.json({ data: await Promise.all(sessions.map(shown)), ...pages });
  });

  app.get("/sessions/:id", async (c) => {
    requireScope(c.get("caller"), "read");
    return c.json(await shown(await sessionFor(supervisor, c.get("caller"), c.req.param("id"))));
  });

  app.post("/sessions/:id", async (c) => {
    const caller = c.get("caller");
    requireScope(caller, "operate");
    const update = readUpdate(await readJson(c.req.raw));
    const id = c.req.param("id");
    await changes.run(id, async () => {
      const info = await sessionFor(supervisor, caller, id);
      refuseArchived(info);
      await updateSession({ supervisor, clock, caller }, info, update);
    });
    return c.json(await shown(await sessionFor(supervisor, caller, id)));
  });

  app.post("/sessions/:id/archive", async (c) => {
    const caller = c.get("caller");
    requireScope(caller, "operate");
    const id = c.req.param("id");
    await changes.run(id, async () => {
      const info = await sessionFor(supervisor, caller, id);
      if (info.state === "archived") return;
      await archive(context, info, caller.id);
    });
    return c.json(await shown(await sessionFor(supervisor, caller, id)));
  });

  app.delete("/sessions/:id", async (c) => {
    const caller = c.get("caller");
    requireScope(caller, "operate");
    const id = c.req.param("id");
    const { isRetry } = identityOf(c.req.raw, caller, undefined);
    await changes.run(id, async () => {
      try {
        const { name } = await sessionFor(supervisor, caller, id);
        await supervisor.eraseSession(name);
      } catch (error) {
        // The answer to the first request was lost.
        const isGone = error instanceof RequestError && error.code === "NOT_FOUND" && nameOfSessionId(id) !== undefined;
        if (!isRetry || !isGone) throw error;
      }
    });
    return c.json({ id, type: "session_deleted" });
  });

  return app;
}

/** Ends what a session does, and archives it. Readers of its events are told last. */
async function archive({ supervisor }: ServerContext, { name, status }: SessionInfo, by: string): Promise<void> {
  const { session } = portOf(supervisor, name);
  const isAtRest = status === undefined || status.state === "hibernated" || status.state === "idle";
  if (!isAtRest) await session.interrupt();
  try {
    await session.describe({ archived: true });
  } catch (error) {
    if (!CastellanError.is(error, "SESSION_BUSY")) throw error;
    // Turns wait, or tasks run in the background.
    await session.stop();
    await portOf(supervisor, name).session.describe({ archived: true });
  }
  await portOf(supervisor, name).session.note(noteOf({ kind: "archived" }, by));
}

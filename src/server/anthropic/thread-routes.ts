import { Hono } from "hono";
import type { SessionInfo } from "../../application/finding.ts";
import { requireScope } from "../access/reach.ts";
import { RequestError } from "../http/request-error.ts";
import type { ServerContext, ServerEnv } from "../http/server-context.ts";
import { eventPage } from "./event-page.ts";
import { deltasIn, listedEvents } from "./event-query.ts";
import { EventIds } from "./ids.ts";
import { ListQuery } from "./list-query.ts";
import { sessionFor } from "./session-access.ts";
import { portOf } from "./session-port.ts";
import { pageOf } from "./short-list.ts";
import { streamResponse } from "./stream-response.ts";
import type { Thread } from "./thread.ts";
import { threadsOf, type WireThread } from "./threads.ts";

/** The routes of the threads of sessions: their own, and those of subagents. */
export function threadRoutes(context: ServerContext): Hono<ServerEnv> {
  const { supervisor, clock } = context;
  const app = new Hono<ServerEnv>();

  app.get("/sessions/:id/threads", async (c) => {
    requireScope(c.get("caller"), "read");
    const query = new ListQuery(c.req.url, ["limit", "page", "statuses"]);
    const info = await sessionFor(supervisor, c.get("caller"), c.req.param("id"));
    const statuses = query.many("statuses");
    const threads = await threadsOf(context, info);
    const wanted = threads.filter(({ status }) => statuses?.includes(status) ?? true);
    return c.json(pageOf(query, wanted, (thread) => thread));
  });

  app.get("/sessions/:id/threads/:thread", async (c) => {
    requireScope(c.get("caller"), "read");
    const info = await sessionFor(supervisor, c.get("caller"), c.req.param("id"));
    const wanted = c.req.param("thread");
    const thread: WireThread | undefined = (await threadsOf(context, info)).find(({ id }) => id === wanted);
    if (thread === undefined) throw noThread();
    return c.json(thread);
  });

  app.get("/sessions/:id/threads/:thread/events", async (c) => {
    requireScope(c.get("caller"), "read");
    const info = await sessionFor(supervisor, c.get("caller"), c.req.param("id"));
    const query = listedEvents(c.req.url, threadOf(info, c.req.param("thread")));
    return c.json(await eventPage(portOf(supervisor, info.name), clock, query));
  });

  app.get("/sessions/:id/threads/:thread/stream", async (c) => {
    requireScope(c.get("caller"), "read");
    const info = await sessionFor(supervisor, c.get("caller"), c.req.param("id"));
    const thread = threadOf(info, c.req.param("thread"));
    return await streamResponse(context, info, { headers: c.req.raw.headers, thread, deltas: deltasIn(c.req.url) });
  });

  return app;
}

/** @throws RequestError `NOT_FOUND` */
function threadOf({ name }: SessionInfo, id: string): Thread {
  const toolUseId = new EventIds(name).threadOf(id);
  if (toolUseId === undefined) throw noThread();
  return toolUseId === "primary" ? "primary" : { toolUseId };
}

function noThread(): RequestError {
  return new RequestError("NOT_FOUND", "The session has no thread of this id.");
}

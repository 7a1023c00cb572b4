import { Hono } from "hono";
import { requireScope } from "../access/reach.ts";
import { readJson } from "../http/body.ts";
import type { ServerContext, ServerEnv } from "../http/server-context.ts";
import { eventPage } from "./event-page.ts";
import { deltasIn, listedEvents } from "./event-query.ts";
import { readEvents } from "./requests.ts";
import { identityOf, RequestsAtWork } from "./retries.ts";
import { sendEvents } from "./sending.ts";
import { refuseArchived, sessionFor } from "./session-access.ts";
import { portOf } from "./session-port.ts";
import { streamResponse } from "./stream-response.ts";
import { spentBy } from "./wire-session.ts";

/** The routes of the events of sessions. */
export function eventRoutes(context: ServerContext): Hono<ServerEnv> {
  const { supervisor, clock } = context;
  const app = new Hono<ServerEnv>();
  const requests = new RequestsAtWork<object[]>();

  app.post("/sessions/:id/events", async (c) => {
    const caller = c.get("caller");
    const body = await readJson(c.req.raw);
    const events = readEvents(body);
    const isApproving = events.some(({ type }) => type === "user.tool_confirmation");
    if (isApproving) requireScope(caller, "approve");
    if (events.some(({ type }) => type !== "user.tool_confirmation")) requireScope(caller, "talk");
    const info = await sessionFor(supervisor, caller, c.req.param("id"));
    refuseArchived(info);
    const identity = identityOf(c.req.raw, caller, body);
    const port = portOf(supervisor, info.name);
    const spent = async (): Promise<number> => (await spentBy(supervisor, info.name)).costUsd;
    const data = await requests.run(identity, () =>
      sendEvents({ port, info, clock, identity, by: caller.id, spent }, events),
    );
    return c.json({ data });
  });

  app.get("/sessions/:id/events", async (c) => {
    const caller = c.get("caller");
    requireScope(caller, "read");
    const query = listedEvents(c.req.url, "primary");
    const info = await sessionFor(supervisor, caller, c.req.param("id"));
    return c.json(await eventPage(portOf(supervisor, info.name), clock, query));
  });

  app.get("/sessions/:id/events/stream", async (c) => {
    const caller = c.get("caller");
    requireScope(caller, "read");
    const deltas = deltasIn(c.req.url);
    const info = await sessionFor(supervisor, caller, c.req.param("id"));
    refuseArchived(info);
    return await streamResponse(context, info, { headers: c.req.raw.headers, thread: "primary", deltas });
  });

  return app;
}

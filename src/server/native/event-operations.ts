import { z } from "zod";
import type { GlobalSession } from "../../cluster/global-session.ts";
import { withoutUndefined } from "../../fields.ts";
import { batchesOf, type EventOptions } from "../../session/record/event-readers.ts";
import type { RecordedEvent, SessionEvent } from "../../session/record/session-event-types.ts";
import type { Session } from "../../session/session.ts";
import { liveTypes, recordedTypes, sessionEventSchema } from "../../wire/event.ts";
import { eventPageQuerySchema, eventPageSchema, eventStreamQuerySchema } from "../../wire/event-query.ts";
import type { EventPage, EventPageQuery, EventStreamQuery } from "../../wire/event-types.ts";
import { contentParams, sessionParams } from "../../wire/params.ts";
import { RequestError } from "../http/request-error.ts";
import { eventStream, lastEventId, type ServerEvent, SharedEvent } from "../http/sse.ts";
import { jsonOperation, type Operation, operation } from "./operation.ts";
import { reachedSession } from "./reached-session.ts";
import { shownEvent, shownRecorded } from "./shown-event.ts";
import { turnOf } from "./turn-operations.ts";

type AnySession = Session | GlobalSession;

const listEvents = jsonOperation(
  {
    id: "listEvents",
    tag: "Events",
    method: "get",
    path: "/sessions/{name}/events",
    scope: "read",
    summary: "Returns a page of recorded events: the last ones, or those before or after a number.",
    params: sessionParams,
    query: eventPageQuerySchema,
    answer: eventPageSchema,
  },
  async (request) => {
    const session = await reachedSession(request, request.params.name);
    return await (request.query.after === undefined ? eventsBefore : eventsAfter)(session, request.query);
  },
);

const streamEvents = operation(
  {
    id: "streamEvents",
    tag: "Events",
    method: "get",
    path: "/sessions/{name}/events/stream",
    scope: "read",
    summary: "Streams the session's events: the stored ones after a number, then new ones.",
    description:
      "Server-sent events. The `id` of a recorded event is its number; a client that sends it as `Last-Event-ID` gets what follows, " +
      "without gap or repetition, also after a restart of the server. Besides the session's events there are `opened`, with the number " +
      "after which the stream begins; `ping`; `reconnect` before the server closes the stream to stop; and `ended` after the last event " +
      "of the session or the turn.",
    params: sessionParams,
    query: eventStreamQuerySchema,
    answer: {
      status: 200,
      contentType: "text/event-stream",
      schema: sessionEventSchema,
      description: "Server-sent events, each with a `SessionEvent` as its data.",
    },
  },
  async (request) => {
    const { supervisor, query, headers, streams } = request;
    const session = await reachedSession(request, request.params.name);
    if (query.turn !== undefined) await turnOf(session, query.turn);
    const after = positionIn(headers) ?? query.after ?? (await lastNumber(session));
    const options = { ...optionsOf(query), after };
    const isRunning = (): boolean => {
      if (supervisor.cluster?.closed === true) return false;
      return supervisor.readyz().checks.every(({ name, ok }) => name !== "supervisor" || ok);
    };
    return eventStream((signal) => framesOf(session, options, isRunning, signal), streams, { drained: RECONNECT });
  },
);

const getContent = operation(
  {
    id: "getContent",
    tag: "Events",
    method: "get",
    path: "/sessions/{name}/contents/{hash}",
    scope: "read",
    summary: "Returns a large text or binary data that an event refers to.",
    params: contentParams,
    answer: {
      status: 200,
      contentType: "application/octet-stream",
      schema: z.string().meta({ format: "binary" }),
      description: "The content, with its own media type.",
    },
  },
  async (request) => {
    const { params } = request;
    const session = await reachedSession(request, params.name);
    const found = await session.content({ $content: params.hash, size: 0, mediaType: "" });
    if (found === undefined)
      throw new RequestError("NOT_FOUND", "There is no content of this hash, or it is no longer kept.");
    // Contents come from prompts and tools, and must not run in the server's origin.
    const headers = {
      "content-type": found.mediaType,
      "content-disposition": "attachment",
      "content-security-policy": "sandbox; default-src 'none'",
      "x-content-type-options": "nosniff",
      "cache-control": "private, max-age=86400, immutable",
    };
    return new Response(new Uint8Array(found.data), { headers });
  },
);

/** The operations on the record of sessions. */
export const eventOperations: readonly Operation[] = [listEvents, streamEvents, getContent];

const RECONNECT: ServerEvent = { event: "reconnect", data: { type: "reconnect" } };

const DELTAS: ReadonlySet<string> = new Set(["text_delta", "thinking_delta", "tool_input_delta"]);

/** Live events that only readers who name them get. */
const ON_REQUEST: ReadonlySet<string> = new Set([...DELTAS, "message"]);

const DEFAULT_TYPES = [...recordedTypes, ...liveTypes].filter((type) => !ON_REQUEST.has(type));

function optionsOf({ types, turn, deltas = false }: EventStreamQuery): Pick<EventOptions, "types" | "turn"> {
  const wanted: readonly string[] = types ?? DEFAULT_TYPES;
  // The schemas name all types of the library, which a test checks.
  const all = [...new Set([...wanted, ...(deltas ? DELTAS : [])])] as readonly SessionEvent["type"][];
  return { types: all, ...withoutUndefined({ turn }) };
}

/** Returns the number after which a client that reconnects continues. */
function positionIn(headers: Headers): number | undefined {
  const id = lastEventId(headers);
  if (id === undefined) return undefined;
  const number = /^\d{1,15}$/.test(id) ? Number(id) : undefined;
  if (number === undefined)
    throw new RequestError("MALFORMED_REQUEST", "`Last-Event-ID` must be the number of an event.");
  return number;
}

async function lastNumber(session: AnySession): Promise<number> {
  const [last] = await session.pastEvents({ limit: 1 });
  return last?.number ?? 0;
}

/** Yields the frames of a stream. Without `ended` at the end, the client reconnects. */
async function* framesOf(
  session: AnySession,
  options: EventOptions & { readonly after: number },
  isRunning: () => boolean,
  signal: AbortSignal,
): AsyncGenerator<readonly ServerEvent[], void, undefined> {
  const { after } = options;
  yield [{ event: "opened", id: String(after), data: { type: "opened", after } }];
  const events = session.events(options);
  const leave = (): void => void events.return();
  signal.addEventListener("abort", leave, { once: true });
  if (signal.aborted) leave();
  for await (const batch of batchesOf(events)) yield batch.map(sharedEvent);
  if (signal.aborted || !isRunning()) return;
  yield [{ event: "ended", data: { type: "ended" } }];
}

/** The frames of events that the readers of a session share. */
const shared = new WeakMap<SessionEvent, SharedEvent>();

/** Returns the frame of an event, the same for all readers. */
function sharedEvent(event: SessionEvent): SharedEvent {
  let frame = shared.get(event);
  if (frame === undefined) {
    const data = shownEvent(event);
    frame = new SharedEvent(data.type, data, data.number === undefined ? undefined : String(data.number));
    shared.set(event, frame);
  }
  return frame;
}

async function eventsBefore(session: AnySession, query: EventPageQuery): Promise<EventPage> {
  const { before, types, turn, limit } = query;
  const events = await session.pastEvents(withoutUndefined({ before, types, turn, limit }));
  const last = events.at(-1)?.number;
  // Only an empty page has nothing before it.
  return { events: events.map(shownRecorded), next: last === undefined || last === 1 ? null : last };
}

async function eventsAfter(session: AnySession, query: EventPageQuery): Promise<EventPage> {
  const { after, types = recordedTypes as readonly RecordedEvent["type"][], turn, limit = 100 } = query;
  const found: RecordedEvent[] = [];
  const options = withoutUndefined({ after, types, turn, live: false });
  for await (const event of session.events<RecordedEvent["type"]>(options)) {
    if (event.number === undefined) continue;
    found.push(event);
    if (found.length === limit) return { events: found.map(shownRecorded), next: event.number };
  }
  return { events: found.map(shownRecorded), next: null };
}

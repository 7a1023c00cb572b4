import { RequestError } from "../http/request-error.ts";
import type { EventListQuery } from "./event-page.ts";
import { isInRange, ListQuery } from "./list-query.ts";
import { readPageToken } from "./page-token.ts";
import { placeSchema } from "./place.ts";
import type { Thread } from "./thread.ts";
import type { PreviewedType } from "./wire-event.ts";

const LIST_PARAMETERS = ["created_at", "limit", "order", "page", "types"];

const MOST_LISTED = 1_000;

/** Reads which events to list. @throws RequestError `MALFORMED_REQUEST`, `UNSUPPORTED` */
export function listedEvents(url: string, thread: Thread): EventListQuery {
  const query = new ListQuery(url, LIST_PARAMETERS);
  const page = query.one("page");
  const range = query.created();
  return {
    order: query.order("asc"),
    limit: query.limit(MOST_LISTED, 100),
    place: page === undefined ? undefined : readPageToken(page, placeSchema),
    types: query.many("types"),
    isInTime: (at) => isInRange(range, at),
    thread,
  };
}

/** Reads which events a stream previews. @throws RequestError `MALFORMED_REQUEST`, `UNSUPPORTED` */
export function deltasIn(url: string): ReadonlySet<PreviewedType> {
  const given = new ListQuery(url, ["event_deltas"]).many("event_deltas") ?? [];
  const unknown = given.find((type) => !isPreviewed(type));
  if (unknown === undefined) return new Set(given.filter(isPreviewed));
  throw new RequestError("MALFORMED_REQUEST", "`event_deltas` takes `agent.message` and `agent.thinking`.");
}

function isPreviewed(type: string): type is PreviewedType {
  return type === "agent.message" || type === "agent.thinking";
}

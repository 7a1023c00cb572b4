import type { JsonObject } from "./session-entry.ts";

/** An event of a session, as the journal stores it. The journal does not interpret `body`. */
export interface EventEntry {
  /** Canonical name of the session. */
  readonly session: string;
  /** From 1, without gaps for the life of the name. Below 2^32. */
  readonly number: number;
  /** In milliseconds since the epoch. */
  readonly at: number;
  readonly type: string;
  /** Id of the turn that the event belongs to. */
  readonly turn?: string;
  /** Opaque JSON. Refers to a content as `{ "$content": hash, "size": bytes, "mediaType"?: string }`, at any depth. */
  readonly body: JsonObject;
  /** Hashes of the contents that `body` refers to, each once. */
  readonly contents?: readonly string[];
}

/** A large or binary part of events and prompts. The journal stores it once, however many refer to it. */
export interface ContentEntry {
  /** SHA-256 of `data`, in hexadecimal. */
  readonly hash: string;
  readonly mediaType?: string;
  readonly data: Uint8Array;
}

/**
 * Which events of a session to return. Without `before`, the lowest numbers come first. With `before`, the highest come
 * first, for pages backwards.
 */
export interface EventQuery {
  /** Canonical name of the session. */
  readonly session: string;
  /** Only events with a higher number. Default: 0. */
  readonly after?: number;
  /** Only events with a lower number. `Infinity` starts at the last event. */
  readonly before?: number;
  /** Only events of these types. */
  readonly types?: readonly string[];
  /** Only events of this turn. */
  readonly turn?: string;
  /** How many events to return at most, up to 1,000. */
  readonly limit: number;
}

/** The range of a session's events. */
export interface EventExtent {
  /** Number of the first event that is still stored; `last + 1` if there is none. */
  readonly first: number;
  /** Number of the last event, also after that event was deleted. */
  readonly last: number;
  /** Size of the stored events: of their bodies as JSON, and of each event's contents. */
  readonly bytes: number;
}

/** Which events to keep. Per session, the events with the lowest numbers are deleted first. */
export interface EventRetention {
  /** In milliseconds since the epoch; earlier events are deleted. */
  readonly since: number;
  /** How many events to keep per session. */
  readonly perSession: number;
  /** How many bytes to keep per session, as `EventExtent.bytes` counts them. */
  readonly bytesPerSession: number;
}

/** An appended event, and the contents that it brings. */
export interface AppendedEvent {
  readonly event: EventEntry;
  readonly contents?: readonly ContentEntry[];
}

/** The highest number of an event, and the largest page. */
const MOST_NUMBER = 2 ** 32 - 1;
const MOST_EVENTS = 1_000;

/** A page ends before the event with which its bodies would exceed this size, in bytes of JSON. It has at least one. */
export const PAGE_BYTES: number = 1024 ** 2;

/** The numbers and the order of a page. */
export interface EventRange {
  readonly after: number;
  readonly before: number;
  readonly descending: boolean;
  readonly limit: number;
}

/** Returns the range of a query, within the limits of numbers and pages. */
export function rangeOf({ after = 0, before, limit }: EventQuery): EventRange {
  return {
    after: clamp(after, MOST_NUMBER),
    before: clamp(before ?? Number.POSITIVE_INFINITY, MOST_NUMBER + 1),
    descending: before !== undefined,
    limit: clamp(limit, MOST_EVENTS),
  };
}

function clamp(value: number, most: number): number {
  return Math.max(0, Math.min(value, most));
}

/** @throws RangeError if the event cannot be stored */
export function requireStorable({ session, number, at }: EventEntry): void {
  if (!Number.isInteger(number) || number <= 0 || number > MOST_NUMBER) {
    throw new RangeError(
      `an event of session ${session} has the number ${number}; expected an integer from 1 to ${MOST_NUMBER}`,
    );
  }
  if (!Number.isFinite(at)) throw new RangeError(`event ${number} of session ${session} has the time ${at}`);
}

/** Returns the contents that the change brings and its event refers to, each once. */
export function contentsOf({ event, contents = [] }: AppendedEvent): readonly ContentEntry[] {
  if (contents.length === 0) return [];
  const byHash = new Map(contents.map((content) => [content.hash, content]));
  return namedBy(event).flatMap((hash) => byHash.get(hash) ?? []);
}

/** Returns the hashes of the contents that the event refers to, each once. */
export function namedBy({ contents }: Pick<EventEntry, "contents">): readonly string[] {
  return contents === undefined ? [] : [...new Set(contents)];
}

/** Returns the size of an event as `EventExtent.bytes` counts it. @param body as JSON */
export function bytesOf(body: string, contents: readonly ContentEntry[]): number {
  return contents.reduce((sum, { data }) => sum + data.byteLength, Buffer.byteLength(body));
}

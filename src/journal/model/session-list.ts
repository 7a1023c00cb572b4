import type { SessionName } from "../../names.ts";
import type { SessionDescription, SessionEntry } from "./session-entry.ts";
import { fromText, toText } from "./stored-text.ts";

/** Which sessions to list, by key in the order of bytes unless `byCreation` is given. */
export interface SessionListQuery {
  /** Only sessions of this supervisor. */
  readonly supervisor?: string;
  /** Whether to list the archived sessions, or all others. Default: both. */
  readonly archived?: boolean;
  /** Only sessions with all of these labels. */
  readonly labels?: Readonly<Record<string, string>>;
  /** Only keys from the first to the second, both included. */
  readonly range: readonly [from: string, to: string];
  /** Only keys after this one. */
  readonly after?: string;
  /** Lists the sessions in the order of their creation. */
  readonly byCreation?: CreationOrder;
  /** How many sessions to return at most, up to 1,000. */
  readonly limit: number;
}

/** An order by time of creation and key. A session without a time counts as created at 0. */
export interface CreationOrder {
  readonly newestFirst: boolean;
  /** Only sessions after this one. */
  readonly after?: { readonly createdAt: number; readonly key: string };
  /** Only sessions created at or after this time, in milliseconds since the epoch. */
  readonly from?: number;
  /** Only sessions created at or before this time. */
  readonly to?: number;
}

/** The range of all keys. */
export const ALL_KEYS: SessionListQuery["range"] = ["", "\u{10FFFF}"];

const MOST_SESSIONS = 1_000;

/** Returns the ranges of the keys whose names begin with these parts, in order. */
export function rangesOf(prefix: SessionName | undefined): readonly SessionListQuery["range"][] {
  if (prefix === undefined) return [ALL_KEYS];
  const parts = typeof prefix === "string" ? [prefix] : prefix;
  const tuple = JSON.stringify(parts);
  const open = tuple.slice(0, -1);
  const longer: SessionListQuery["range"] = [`${open},`, `${open},\u{10FFFF}`];
  const whole = parts.length === 1 ? [JSON.stringify(parts[0])] : [];
  // `,` sorts before `]`, and `"` before `[`.
  return [...whole.map((key) => [key, key] as const), longer, [tuple, tuple]];
}

/** Returns the limit of a query, within that of a page. */
export function sessionLimitOf({ limit }: SessionListQuery): number {
  return Math.max(0, Math.min(limit, MOST_SESSIONS));
}

/** Compares two keys in the order of a list. */
export function compareKeys(one: string, other: string): number {
  return Buffer.compare(Buffer.from(toText(one)), Buffer.from(toText(other)));
}

/** Whether the query includes a session. */
export function isListed(query: SessionListQuery, { key, supervisor, description = {} }: SessionEntry): boolean {
  const { range, after, archived, byCreation, labels = {} } = query;
  const { createdAt = 0 } = description;
  return (
    (query.supervisor === undefined || query.supervisor === supervisor) &&
    (archived === undefined || archived === (description.archivedAt !== undefined)) &&
    (byCreation === undefined || isInOrder(byCreation, { key, createdAt })) &&
    hasLabels(description.labels, labels) &&
    compareKeys(key, range[0]) >= 0 &&
    compareKeys(key, range[1]) <= 0 &&
    (after === undefined || compareKeys(key, after) > 0)
  );
}

/** Compares two sessions in the order of a list. */
export function compareListed(query: SessionListQuery, one: SessionEntry, other: SessionEntry): number {
  const { byCreation } = query;
  if (byCreation === undefined) return compareKeys(one.key, other.key);
  const [first, second] = [one, other].map(({ key, description }) => ({ key, createdAt: description?.createdAt ?? 0 }));
  return first === undefined || second === undefined ? 0 : compareCreated(byCreation, first, second);
}

/** A session's place in an order by creation. */
export interface Created {
  readonly createdAt: number;
  readonly key: string;
}

/** Compares two sessions in an order by creation. */
export function compareCreated({ newestFirst }: CreationOrder, one: Created, other: Created): number {
  const order = one.createdAt - other.createdAt || compareKeys(one.key, other.key);
  return newestFirst ? -order : order;
}

/** Whether a session is within the bounds of an order by creation. */
export function isInOrder(order: CreationOrder, session: Created): boolean {
  const { after, from = Number.NEGATIVE_INFINITY, to = Number.POSITIVE_INFINITY } = order;
  if (session.createdAt < from || session.createdAt > to) return false;
  return after === undefined || compareCreated(order, after, session) < 0;
}

/** Whether a session with the labels `own` has all of `labels`. */
export function hasLabels(
  own: Readonly<Record<string, string>> | undefined,
  labels: Readonly<Record<string, string>>,
): boolean {
  return Object.entries(labels).every(
    ([label, value]) => own !== undefined && Object.hasOwn(own, label) && own[label] === value,
  );
}

/** Returns the labels of a session in their stored form. */
export function storedLabels({ labels = {} }: SessionDescription): [label: string, value: string][] {
  return Object.entries(labels).map(([label, value]) => [toText(label), toText(value)]);
}

/** Returns labels from their stored form; undefined if there are none. */
export function labelsOf(
  stored: Readonly<Record<string, string>> | null,
): Readonly<Record<string, string>> | undefined {
  if (stored === null) return undefined;
  return Object.fromEntries(Object.entries(stored).map(([label, value]) => [fromText(label), fromText(value)]));
}

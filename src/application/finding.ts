import { z } from "zod";
import { withoutUndefined } from "../fields.ts";
import type { JsonObject, SessionDescription, SessionEntry } from "../journal/model/session-entry.ts";
import {
  ALL_KEYS,
  type Created,
  compareCreated,
  compareKeys,
  hasLabels,
  isInOrder,
  rangesOf,
  type SessionListQuery,
} from "../journal/model/session-list.ts";
import { beginsWith, nameKey, nameOfKey, type SessionName } from "../names.ts";
import { invalidOptions, nameSchema, validate } from "../session/options/validation.ts";
import { metadataIn } from "../session/persistence/live-description.ts";
import type { SupervisorJournal } from "../session/persistence/supervisor-journal.ts";
import type { SessionServer } from "../session/session-server.ts";
import type { SessionStatus } from "../session/status/session-status.ts";
import type { SessionTable } from "./tree/session-table.ts";

/**
 * The state of a found session: that of its status, `"stored"` if only the journal knows it, or `"archived"`. A stored
 * session was evicted by its template, or ended.
 */
export type FoundState = SessionStatus["state"] | "stored" | "archived";

/** Which sessions to find. */
export interface FindOptions {
  /** Only sessions with all of these labels. */
  readonly labels?: Readonly<Record<string, string>> | undefined;
  /** Only sessions in this state; `"any"` for all. Default: all but archived ones. */
  readonly state?: FoundState | "any" | undefined;
  /** Only sessions whose names begin with these parts. */
  readonly prefix?: SessionName | undefined;
  /**
   * By name, or in the order of their creation; then a page takes longer if `labels` or `prefix` select few sessions.
   * Default `"name"`.
   */
  readonly order?: "name" | "newest" | "oldest" | undefined;
  /** Only sessions created in this time, in milliseconds since the epoch, bounds included. Requires an order of creation. */
  readonly created?: { readonly from?: number | undefined; readonly to?: number | undefined } | undefined;
  /**
   * Only sessions after this one, which need not exist. For the next page, the name of the last session of a page; in
   * an order of creation, that session.
   */
  readonly after?: SessionName | Pick<SessionInfo, "name" | "createdAt"> | undefined;
  /** How many sessions to return at most, up to 1,000. Default 100. */
  readonly limit?: number | undefined;
}

/** A session that was found. */
export interface SessionInfo extends Omit<SessionDescription, "memory"> {
  readonly name: SessionName;
  readonly state: FoundState;
  /** The application's own data, from `session.describe`. */
  readonly metadata?: JsonObject;
  /** Its status, if the supervisor has it in memory. */
  readonly status?: SessionStatus;
}

const LIVE_STATES = [
  "starting",
  "idle",
  "busy",
  "waiting",
  "hibernated",
  "restarting",
  "quarantined",
  "stopped",
] as const satisfies readonly SessionStatus["state"][];

const listSchema = z.strictObject({ prefix: nameSchema.optional() });

const schema = z.strictObject({
  labels: z.record(z.string(), z.string()).optional(),
  state: z.enum([...LIVE_STATES, "stored", "archived", "any"]).optional(),
  prefix: nameSchema.optional(),
  order: z.enum(["name", "newest", "oldest"]).default("name"),
  created: z.strictObject({ from: z.number().optional(), to: z.number().optional() }).optional(),
  after: z.union([nameSchema, z.looseObject({ name: nameSchema, createdAt: z.number().optional() })]).optional(),
  limit: z.int().min(1).max(1_000).default(100),
});

/** Finds sessions of a supervisor, in memory and in the journal. */
export class Finding {
  readonly #sessions: SessionTable;
  readonly #journal: SupervisorJournal;
  readonly #ready: () => Promise<void>;

  /** @param ready resolves once the sessions are known; rejects if the supervisor has stopped */
  constructor(sessions: SessionTable, journal: SupervisorJournal, ready: () => Promise<void>) {
    this.#sessions = sessions;
    this.#journal = journal;
    this.#ready = ready;
  }

  /** Returns the status of each session in memory. @throws CastellanError `INVALID_OPTIONS` */
  list(options: { readonly prefix?: SessionName } = {}): SessionStatus[] {
    const { prefix } = validate(listSchema, options, "listSessions");
    return this.#withPrefix(prefix).map((server) => server.status());
  }

  /** Returns a page of sessions. @throws CastellanError `INVALID_OPTIONS`, `JOURNAL_UNAVAILABLE` */
  async find(options: FindOptions): Promise<SessionInfo[]> {
    await this.#ready();
    const { labels = {}, state, prefix, limit, ...place } = validate(schema, options, "findSessions");
    const order = orderOf(place);
    const isWanted = (info: SessionInfo): boolean =>
      (state === undefined ? info.state !== "archived" : state === "any" || info.state === state) &&
      hasLabels(info.labels, labels) &&
      order.includes(info);
    const live = this.#live(prefix).filter(isWanted).toSorted(order.compare);
    const inJournal = state === undefined || state === "any" || state === "stored" || state === "archived";
    if (!inJournal) return live.slice(0, limit);
    const archived = state === "any" ? {} : { archived: state === "archived" };
    const ranges = order.query.byCreation === undefined ? rangesOf(prefix) : [ALL_KEYS];
    const isInPrefix = (info: SessionInfo): boolean => prefix === undefined || beginsWith(info.name, prefix);
    const found: SessionInfo[] = [];
    for await (const info of this.#stored({ ...archived, labels, limit, ...order.query }, ranges)) {
      if (!isInPrefix(info)) continue;
      while (live[0] !== undefined && order.compare(live[0], info) < 0 && found.length < limit)
        found.push(...live.splice(0, 1));
      if (found.length === limit) break;
      found.push(info);
    }
    return [...found, ...live].slice(0, limit);
  }

  /** Returns the session of this name, archived or not. Brings nothing into memory. @throws CastellanError `JOURNAL_UNAVAILABLE` */
  async one(name: SessionName): Promise<SessionInfo | undefined> {
    const key = nameKey(validate(nameSchema, name, "findSession", "name"));
    await this.#ready();
    const present = this.#sessions.ofChild(key);
    if (present !== undefined) return infoOf(present.server.status());
    const query = { range: [key, key], limit: 1 } as const;
    const pages = await Promise.all([
      this.#journal.listSessions({ ...query, archived: false }),
      this.#journal.listSessions({ ...query, archived: true }),
    ]);
    // It may have come into memory in the meantime.
    const member = this.#sessions.ofChild(key);
    if (member !== undefined) return infoOf(member.server.status());
    const [entry] = pages.flat();
    return entry === undefined ? undefined : storedInfoOf(entry);
  }

  /** The sessions in memory. */
  #live(prefix: SessionName | undefined): SessionInfo[] {
    return this.#withPrefix(prefix).map((server) => infoOf(server.status()));
  }

  #withPrefix(prefix: SessionName | undefined): SessionServer[] {
    const all = [...this.#sessions].map(({ server }) => server);
    return prefix === undefined ? all : all.filter(({ settings }) => beginsWith(settings.name, prefix));
  }

  /** Yields the sessions that only the journal knows, in order. */
  async *#stored(
    query: Omit<SessionListQuery, "range">,
    ranges: readonly SessionListQuery["range"][],
  ): AsyncGenerator<SessionInfo, void, undefined> {
    for (const range of ranges) {
      for (let next = query; ; ) {
        const page = await this.#journal.listSessions({ ...next, range });
        for (const entry of page) {
          // What is in memory goes first: it may differ from the journal.
          if (this.#sessions.ofChild(entry.key) === undefined) yield storedInfoOf(entry);
        }
        const last = page.at(-1);
        if (last === undefined) break;
        next = following(next, last);
      }
    }
  }
}

/** The order of a list, and what is before its page. */
interface ListOrder {
  readonly query: Pick<SessionListQuery, "after" | "byCreation">;
  readonly compare: (one: SessionInfo, other: SessionInfo) => number;
  /** Whether a session is after the last page, and created in the wanted time. */
  readonly includes: (info: SessionInfo) => boolean;
}

/** @throws CastellanError `INVALID_OPTIONS` */
function orderOf({ order, created, after }: Pick<z.output<typeof schema>, "order" | "created" | "after">): ListOrder {
  const isPlace = typeof after === "object" && "name" in after;
  if (order === "name") {
    if (created !== undefined) {
      throw invalidOptions("findSessions", [{ field: "created", message: 'requires `order: "newest"` or `"oldest"`' }]);
    }
    const last = after === undefined ? undefined : nameKey(isPlace ? after.name : after);
    return {
      query: withoutUndefined({ after: last }),
      compare: compareNames,
      includes: ({ name }) => last === undefined || compareKeys(nameKey(name), last) > 0,
    };
  }
  if (after !== undefined && !isPlace) {
    const message = "expected the last session of the page before, as an order of creation needs its `createdAt`";
    throw invalidOptions("findSessions", [{ field: "after", message }]);
  }
  const last = after === undefined ? undefined : createdOf(after);
  const byCreation = { newestFirst: order === "newest", ...withoutUndefined({ ...created, after: last }) };
  return {
    query: { byCreation },
    compare: (one, other) => compareCreated(byCreation, createdOf(one), createdOf(other)),
    includes: (info) => isInOrder(byCreation, createdOf(info)),
  };
}

function createdOf({ name, createdAt = 0 }: { name: SessionName; createdAt?: number | undefined }): Created {
  return { key: nameKey(name), createdAt };
}

/** Returns the query for the page after this session. */
function following<Query extends Pick<SessionListQuery, "after" | "byCreation">>(
  query: Query,
  last: SessionEntry,
): Query {
  const { byCreation } = query;
  if (byCreation === undefined) return { ...query, after: last.key };
  const after = { key: last.key, createdAt: last.description?.createdAt ?? 0 };
  return { ...query, byCreation: { ...byCreation, after } };
}

function infoOf(status: SessionStatus): SessionInfo {
  const { name, title, labels, createdAt, archivedAt, metadata } = status;
  const state = archivedAt === undefined ? status.state : "archived";
  return withoutUndefined({ name, state, title, labels, createdAt, archivedAt, metadata, status });
}

function storedInfoOf({ key, description = {} }: SessionEntry): SessionInfo {
  const { memory: _, ...shown } = description;
  const state = shown.archivedAt === undefined ? "stored" : "archived";
  return withoutUndefined({ name: nameOfKey(key), state, ...shown, metadata: metadataIn(description) });
}

function compareNames(one: SessionInfo, other: SessionInfo): number {
  return compareKeys(nameKey(one.name), nameKey(other.name));
}

import { z } from "zod";
import { withoutUndefined } from "../fields.ts";
import type { SessionDescription, SessionEntry } from "../journal/model/session-entry.ts";
import { ALL_KEYS, compareKeys, hasLabels, type SessionListQuery } from "../journal/model/session-list.ts";
import { beginsWith, nameKey, nameOfKey, type SessionName } from "../names.ts";
import { nameSchema, validate } from "../session/options/validation.ts";
import type { SupervisorJournal } from "../session/persistence/supervisor-journal.ts";
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
  /** Only sessions in this state. Default: all but archived ones. */
  readonly state?: FoundState | undefined;
  /** Only sessions whose names begin with these parts. */
  readonly prefix?: SessionName | undefined;
  /** Only sessions after this name, which need not exist. For the next page, the last name of a page. */
  readonly after?: SessionName | undefined;
  /** How many sessions to return at most, up to 1,000. Default 100. */
  readonly limit?: number | undefined;
}

/** A session that was found. */
export interface SessionInfo extends Omit<SessionDescription, "memory"> {
  readonly name: SessionName;
  readonly state: FoundState;
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

const schema = z.strictObject({
  labels: z.record(z.string(), z.string()).optional(),
  state: z.enum([...LIVE_STATES, "stored", "archived"]).optional(),
  prefix: nameSchema.optional(),
  after: nameSchema.optional(),
  limit: z.int().min(1).max(1_000).default(100),
});

/** Finds sessions of a supervisor, in memory and in the journal. */
export class Finding {
  readonly #sessions: SessionTable;
  readonly #journal: SupervisorJournal;

  constructor(sessions: SessionTable, journal: SupervisorJournal) {
    this.#sessions = sessions;
    this.#journal = journal;
  }

  /** Returns a page of sessions, by name. @throws CastellanError `INVALID_OPTIONS`, `JOURNAL_UNAVAILABLE` */
  async find(options: FindOptions): Promise<SessionInfo[]> {
    const { labels = {}, state, prefix, after, limit } = validate(schema, options, "findSessions");
    const isWanted = (info: SessionInfo): boolean =>
      (state === undefined ? info.state !== "archived" : info.state === state) && hasLabels(info.labels, labels);
    const from = after === undefined ? undefined : nameKey(after);
    const live = this.#live(prefix, from).filter(isWanted);
    const inJournal = state === undefined || state === "stored" || state === "archived";
    if (!inJournal) return live.slice(0, limit);
    const query = { archived: state === "archived", labels, limit, ...(from !== undefined && { after: from }) };
    const found: SessionInfo[] = [];
    for await (const info of this.#stored(query, rangesOf(prefix))) {
      while (live[0] !== undefined && compareNames(live[0], info) < 0 && found.length < limit)
        found.push(...live.splice(0, 1));
      if (found.length === limit) break;
      found.push(info);
    }
    return [...found, ...live].slice(0, limit);
  }

  /** Returns the session of this name, archived or not. Brings nothing into memory. @throws CastellanError `JOURNAL_UNAVAILABLE` */
  async one(name: SessionName): Promise<SessionInfo | undefined> {
    const key = nameKey(name);
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

  /** The sessions in memory, by name. */
  #live(prefix: SessionName | undefined, after: string | undefined): SessionInfo[] {
    const some = [...this.#sessions].filter(
      ({ key, server }) =>
        (prefix === undefined || beginsWith(server.settings.name, prefix)) &&
        (after === undefined || compareKeys(key, after) > 0),
    );
    return some.map(({ server }) => infoOf(server.status())).toSorted(compareNames);
  }

  /** Yields the sessions that only the journal knows, by name. */
  async *#stored(
    query: Omit<SessionListQuery, "range">,
    ranges: readonly SessionListQuery["range"][],
  ): AsyncGenerator<SessionInfo, void, undefined> {
    for (const range of ranges) {
      for (let { after } = query; ; ) {
        const page = await this.#journal.listSessions({ ...query, range, ...(after !== undefined && { after }) });
        for (const entry of page) {
          // What is in memory goes first: it may differ from the journal.
          if (this.#sessions.ofChild(entry.key) === undefined) yield storedInfoOf(entry);
        }
        const last = page.at(-1);
        if (last === undefined) break;
        after = last.key;
      }
    }
  }
}

function infoOf(status: SessionStatus): SessionInfo {
  const { name, title, labels, createdAt, archivedAt } = status;
  const state = archivedAt === undefined ? status.state : "archived";
  return withoutUndefined({ name, state, title, labels, createdAt, archivedAt, status });
}

function storedInfoOf({ key, description = {} }: SessionEntry): SessionInfo {
  const { memory: _, ...shown } = description;
  return { name: nameOfKey(key), state: shown.archivedAt === undefined ? "stored" : "archived", ...shown };
}

function compareNames(one: SessionInfo, other: SessionInfo): number {
  return compareKeys(nameKey(one.name), nameKey(other.name));
}

/** Returns the ranges of the keys whose names begin with these parts, in order. */
function rangesOf(prefix: SessionName | undefined): readonly SessionListQuery["range"][] {
  if (prefix === undefined) return [ALL_KEYS];
  const parts = typeof prefix === "string" ? [prefix] : prefix;
  const tuple = JSON.stringify(parts);
  const open = tuple.slice(0, -1);
  const longer: SessionListQuery["range"] = [`${open},`, `${open},\u{10FFFF}`];
  const whole = parts.length === 1 ? [JSON.stringify(parts[0])] : [];
  // `,` sorts before `]`, and `"` before `[`.
  return [...whole.map((key) => [key, key] as const), longer, [tuple, tuple]];
}

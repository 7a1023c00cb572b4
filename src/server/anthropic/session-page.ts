import { z } from "zod";
import type { SessionInfo } from "../../application/finding.ts";
import type { Supervisor } from "../../application/supervisor.ts";
import { beginsWith, nameProblem, type SessionName } from "../../names.ts";
import { mayReach } from "../access/reach.ts";
import type { Caller } from "../http/caller.ts";
import { agentFor, versionOf } from "./agents.ts";
import type { TimeRange } from "./list-query.ts";
import { pageToken, readPageToken } from "./page-token.ts";
import { STATUSES, statusOf, type WireStatus } from "./wire-session.ts";

/** Which sessions to list. */
export interface SessionListQuery {
  readonly order: "asc" | "desc";
  readonly limit: number;
  readonly page?: string | undefined;
  readonly agentId?: string | undefined;
  readonly agentVersion?: number | undefined;
  readonly created: TimeRange;
  readonly statuses?: readonly string[] | undefined;
  readonly includeArchived: boolean;
}

/** A page of sessions. */
export interface SessionPage {
  readonly sessions: readonly SessionInfo[];
  readonly next_page: string | null;
  readonly prev_page: string | null;
}

/** How many sessions to read at a time, and at most for one page. */
const READ = 100;
const MOST_READ = 1_000;

/** The session before a page, in the order in which the page is read. */
interface Cursor {
  readonly name: SessionName;
  readonly createdAt: number;
  /** Whether the page is read backwards, from its end. */
  readonly back: boolean;
}

const cursorSchema: z.ZodType<Cursor> = z.strictObject({
  name: z.custom<SessionName>((value) => nameProblem(value) === undefined),
  createdAt: z.number(),
  back: z.boolean(),
});

/** Returns a page of the sessions that a caller may reach. @throws RequestError `MALFORMED_REQUEST`; CastellanError `JOURNAL_UNAVAILABLE` */
export async function sessionPage(
  supervisor: Supervisor,
  caller: Caller,
  query: SessionListQuery,
): Promise<SessionPage> {
  const none: SessionPage = { sessions: [], next_page: null, prev_page: null };
  const cursor = query.page === undefined ? undefined : readPageToken(query.page, cursorSchema);
  const prefix = prefixOf(supervisor, caller, query);
  if (prefix === null) return none;
  const isBack = cursor?.back ?? false;
  const found: SessionInfo[] = [];
  let last: Pick<SessionInfo, "name" | "createdAt"> | undefined = cursor;
  let isAtEnd = false;
  for (let read = 0; read < MOST_READ && found.length <= query.limit && !isAtEnd; ) {
    const page: SessionInfo[] = await supervisor.findSessions({
      order: (query.order === "desc") === isBack ? "oldest" : "newest",
      created: query.created,
      state: query.includeArchived ? "any" : undefined,
      prefix,
      labels: caller.labels,
      after: last,
      limit: Math.min(READ, query.limit + 1),
    });
    found.push(...page.filter((info) => isWanted(supervisor, caller, query, info)));
    read += Math.max(1, page.length);
    isAtEnd = page.length === 0;
    last = page.at(-1) ?? last;
  }
  const sessions = found.slice(0, query.limit);
  const end = found.length > query.limit ? sessions.at(-1) : isAtEnd ? undefined : last;
  const ahead = end === undefined ? null : tokenOf(end, isBack);
  const [first] = sessions;
  const behind = cursor === undefined || first === undefined ? null : tokenOf(first, !isBack);
  return isBack
    ? { sessions: sessions.toReversed(), next_page: behind, prev_page: ahead }
    : { sessions, next_page: ahead, prev_page: behind };
}

function tokenOf({ name, createdAt = 0 }: Pick<SessionInfo, "name" | "createdAt">, back: boolean): string {
  return pageToken({ name, createdAt, back });
}

/** Returns how the names begin; null if there can be none. */
function prefixOf(supervisor: Supervisor, caller: Caller, query: SessionListQuery): SessionName | undefined | null {
  const { prefix } = caller;
  if (query.agentId === undefined) return prefix;
  const agent = agentFor(supervisor, caller, query.agentId);
  if (agent === undefined) return null;
  if (query.agentVersion !== undefined && query.agentVersion !== versionOf(agent.options)) return null;
  return prefix !== undefined && beginsWith(prefix, agent.name) ? prefix : agent.name;
}

function isWanted(
  supervisor: Supervisor,
  caller: Caller,
  { agentId, statuses }: SessionListQuery,
  info: SessionInfo,
): boolean {
  if (!mayReach(caller, info.name, info.labels)) return false;
  if (statuses !== undefined && !statuses.includes(statusOf(info))) return false;
  return agentId !== undefined || isOfAgent(supervisor, info);
}

/** Whether a session has an agent: what an application no longer starts has none. */
function isOfAgent(supervisor: Supervisor, { name, status }: SessionInfo): boolean {
  if (status !== undefined) return true;
  return typeof name !== "string" && supervisor.templates().some((template) => template.name === name[0]);
}

/** Whether it is the status of a session on the wire. */
export function isStatus(status: string): status is WireStatus {
  return STATUSES.some((known) => known === status);
}

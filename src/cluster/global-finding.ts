import { z } from "zod";
import { withoutUndefined } from "../fields.ts";
import type { SessionDescription } from "../journal/model/session-entry.ts";
import { rangesOf } from "../journal/model/session-list.ts";
import { nameKey, nameProblem, type SessionName } from "../names.ts";
import { GLOBAL, type GlobalName, globalName, globalNameOf, isGlobalName } from "../session/options/global-name.ts";
import { validate } from "../session/options/validation.ts";
import type { DescribedSession, Engine } from "./protocol/engine.ts";

/**
 * The state of a found global session: `"owned"` if a live node owns it, see `GlobalSession.status` for more; `"stored"` if
 * none does; or `"archived"`.
 */
export type GlobalFoundState = "owned" | "stored" | "archived";

/** Which global sessions to find. */
export interface GlobalFindOptions {
  /** Only sessions with all of these labels. */
  readonly labels?: Readonly<Record<string, string>> | undefined;
  /** Only sessions in this state. Default: all but archived ones. */
  readonly state?: GlobalFoundState | undefined;
  /** Only sessions whose names begin with these parts. */
  readonly prefix?: GlobalName | undefined;
  /**
   * Only sessions after this name, which need not exist. For the next page, the last name of a page, as a page has it or with
   * `global`.
   */
  readonly after?: GlobalName | SessionName | undefined;
  /** How many sessions to return at most, up to 1,000. Default 100. */
  readonly limit?: number | undefined;
}

/** A global session that was found. */
export interface GlobalFoundSession extends Omit<SessionDescription, "memory"> {
  readonly name: SessionName;
  readonly state: GlobalFoundState;
  /** Name of the node that owns the session. Left out if no live node does. */
  readonly node?: string;
  /** Rises with each new owner. Left out if there was none. */
  readonly epoch?: number;
}

const schema = z.strictObject({
  labels: z.record(z.string(), z.string()).optional(),
  state: z
    .enum(["owned", "stored", "archived"], {
      error: 'expected "owned", "stored" or "archived"; what an owned session does is in its `status()`',
    })
    .optional(),
  prefix: z.custom<GlobalName>(isGlobalName, "expected a global name, `global(…)`").optional(),
  after: z
    .custom<GlobalName | SessionName>(
      (value) => isGlobalName(value) || nameProblem(value) === undefined,
      "expected the name of a session",
    )
    .optional(),
  limit: z.int().min(1).max(1_000).default(100),
});

/** Returns a page of global sessions, by name. @throws CastellanError `INVALID_OPTIONS`, `DATABASE_UNAVAILABLE` */
export async function findGlobalSessions(
  engine: Engine,
  options: GlobalFindOptions,
): Promise<readonly GlobalFoundSession[]> {
  const { labels = {}, state, prefix, after, limit } = validate(schema, options, "findSessions");
  const begin = prefix === undefined ? ([GLOBAL] as const) : globalNameOf(prefix);
  const from = after === undefined ? undefined : nameKey(globalNameOf(isGlobalName(after) ? after : globalName(after)));
  const owned = state === "owned" || state === "stored" ? { owned: state === "owned" } : {};
  const query = { labels, archived: state === "archived", ...owned, ...withoutUndefined({ after: from }) };
  const found: DescribedSession[] = [];
  for (const range of rangesOf(begin)) {
    if (found.length === limit) break;
    found.push(...(await engine.findSessions({ ...query, range, limit: limit - found.length })));
  }
  if (found.length === 0) return [];
  const nodes = new Map((await engine.nodes()).map(({ boot, name }) => [boot, name]));
  return found.map((session) => infoOf(session, nodes));
}

function infoOf(
  { name, epoch, boot, description: { memory: _, ...shown } }: DescribedSession,
  nodes: ReadonlyMap<string, string>,
): GlobalFoundSession {
  const owned = boot === undefined ? "stored" : "owned";
  const state = shown.archivedAt === undefined ? owned : "archived";
  const node = boot === undefined ? undefined : nodes.get(boot);
  return { name, state, ...shown, ...withoutUndefined({ node, epoch }) };
}

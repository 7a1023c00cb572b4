import type { SessionInfo } from "../../application/finding.ts";
import type { Supervisor } from "../../application/supervisor.ts";
import type { Clock } from "../../clock.ts";
import { withoutUndefined } from "../../fields.ts";
import type { Caller } from "../http/caller.ts";
import { RequestError } from "../http/request-error.ts";
import { agentOfSession } from "./agents.ts";
import { dollarsOf } from "./budget.ts";
import { toolsChanged } from "./client-tool-server.ts";
import { checkedTools } from "./creating.ts";
import { type Changes, noteOf } from "./notes.ts";
import type { Update } from "./requests.ts";
import { portOf } from "./session-port.ts";
import { type StoredSession, storedIn, withStored } from "./stored-session.ts";
import { spentBy } from "./wire-session.ts";

/** What an update needs. */
export interface Updating {
  readonly supervisor: Supervisor;
  readonly clock: Clock;
  readonly caller: Caller;
}

/**
 * Changes a session, and records what has changed.
 *
 * @throws RequestError `UNSUPPORTED`; CastellanError `INVALID_OPTIONS`, `JOURNAL_UNAVAILABLE`
 */
export async function updateSession(
  { supervisor, clock, caller }: Updating,
  info: SessionInfo,
  update: Update,
): Promise<void> {
  const { name } = info;
  const stored = storedIn(info.metadata);
  const budget = update.budget === undefined ? undefined : await checkedBudget(supervisor, info, update.budget);
  const metadata = update.metadata == null ? undefined : patched(stored.metadata, update.metadata);
  const given = update.agent?.tools;
  const tools = given === undefined ? undefined : checkedTools(supervisor, agentOfSession(supervisor, name), given);
  const changes: Changes = {
    ...(update.title !== undefined && update.title !== (info.title ?? null) && { title: update.title }),
    ...(metadata !== undefined && { metadata }),
    ...(update.budget !== undefined && { budget: update.budget }),
  };
  if (Object.keys(changes).length === 0 && tools === undefined) return;
  const { budget: before, tools: toolsBefore, ...rest } = stored;
  const next: StoredSession = {
    ...rest,
    updatedAt: clock.now(),
    ...(metadata !== undefined && { metadata }),
    ...withoutUndefined({
      budget: update.budget === undefined ? before : (budget ?? undefined),
      tools: tools ?? toolsBefore,
    }),
  };
  const { session } = portOf(supervisor, name);
  await session.describe({ ...withoutUndefined({ title: update.title }), metadata: withStored(info.metadata, next) });
  if (tools !== undefined) toolsChanged(name);
  if (Object.keys(changes).length > 0) await session.note(noteOf({ kind: "updated", changes }, caller.id));
}

function patched(
  metadata: Readonly<Record<string, string>>,
  patch: Readonly<Record<string, string | null>>,
): Readonly<Record<string, string>> {
  const next = Object.entries({ ...metadata, ...patch }).filter((pair): pair is [string, string] => pair[1] !== null);
  if (next.length > 16) throw new RequestError("UNSUPPORTED", "`metadata` would have more than 16 pairs.");
  return Object.fromEntries(next);
}

/** A budget can be replaced or removed, but not added, as in the official API. */
async function checkedBudget(
  supervisor: Supervisor,
  { name, metadata }: SessionInfo,
  budget: StoredSession["budget"] | null,
): Promise<StoredSession["budget"] | null> {
  if (budget === null || budget === undefined) return null;
  if (storedIn(metadata).budget === undefined) {
    throw new RequestError(
      "UNSUPPORTED",
      "A budget cannot be added to a session that was created without one, or lost it (`budget_create_only`).",
    );
  }
  if (dollarsOf(budget) <= (await spentBy(supervisor, name)).costUsd) {
    throw new RequestError("UNSUPPORTED", "The session has spent that much already (`budget_not_raised`).");
  }
  return budget;
}

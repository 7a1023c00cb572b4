import type { TurnOrigin } from "../../events.ts";
import { withoutUndefined } from "../../fields.ts";
import type { ApprovalEntry } from "../model/approval-entry.ts";
import type { ConversationEntry } from "../model/conversation-entry.ts";
import type { JobEntry } from "../model/job-entry.ts";
import type { JsonObject, SessionEntry } from "../model/session-entry.ts";
import { labelsOf } from "../model/session-list.ts";
import { fromText } from "../model/stored-text.ts";
import type { StoredPromptKind, TurnEntry, TurnEntryState } from "../model/turn-entry.ts";
import type { UsageDimension, UsageEntry } from "../model/usage-entry.ts";

/* The columns and rows of the journal's tables. A null column is a missing property. */

export const SESSION_COLUMNS: string = [
  ...["key", "supervisor", "conversation_id", "memory", "saved_at"],
  ...["created_at", "title", "labels", "archived_at", "description_memory"],
]
  .map((column) => `sessions.${column}`)
  .join(", ");

export interface SessionRow {
  readonly key: string;
  readonly supervisor: string;
  readonly conversation_id: string;
  readonly memory: JsonObject;
  readonly saved_at: number;
  readonly created_at: number | null;
  readonly title: string | null;
  readonly labels: Readonly<Record<string, string>> | null;
  readonly archived_at: number | null;
  readonly description_memory: JsonObject | null;
}

export function sessionOf(row: SessionRow): SessionEntry {
  return {
    key: fromText(row.key),
    supervisor: fromText(row.supervisor),
    conversationId: fromText(row.conversation_id),
    memory: row.memory,
    savedAt: row.saved_at,
    ...descriptionOf(row),
  };
}

function descriptionOf(row: SessionRow): Pick<SessionEntry, "description"> {
  const description = withoutUndefined({
    createdAt: row.created_at ?? undefined,
    title: row.title === null ? undefined : fromText(row.title),
    labels: labelsOf(row.labels),
    archivedAt: row.archived_at ?? undefined,
    memory: row.description_memory ?? undefined,
  });
  return Object.keys(description).length === 0 ? {} : { description };
}

export const TURN_COLUMNS: string = `id, session, prompt, prompt_kind, position, durable, timeout_ms, queue_timeout_ms,
  accepted_at, origin, asked_by, metadata, state, attempts, prompt_id, touched, ended_at, outcome`;

export interface TurnRow {
  readonly id: string;
  readonly session: string;
  readonly prompt: string;
  readonly prompt_kind: StoredPromptKind | null;
  readonly position: number;
  readonly durable: boolean;
  readonly timeout_ms: number | null;
  readonly queue_timeout_ms: number | null;
  readonly accepted_at: number;
  readonly origin: TurnOrigin | null;
  readonly asked_by: string | null;
  readonly metadata: JsonObject | null;
  readonly state: TurnEntryState;
  readonly attempts: number;
  readonly prompt_id: string | null;
  readonly touched: boolean;
  readonly ended_at: number | null;
  readonly outcome: JsonObject | null;
}

export function turnOf(row: TurnRow): TurnEntry {
  return {
    id: fromText(row.id),
    session: fromText(row.session),
    prompt: fromText(row.prompt),
    ...(row.prompt_kind !== null && { promptKind: row.prompt_kind }),
    position: row.position,
    durable: row.durable,
    ...(row.timeout_ms !== null && { timeoutMs: row.timeout_ms }),
    ...(row.queue_timeout_ms !== null && { queueTimeoutMs: row.queue_timeout_ms }),
    acceptedAt: row.accepted_at,
    ...(row.origin !== null && { origin: row.origin }),
    ...(row.asked_by !== null && { by: fromText(row.asked_by) }),
    ...(row.metadata !== null && { metadata: row.metadata }),
    state: row.state,
    attempts: row.attempts,
    ...(row.prompt_id !== null && { promptId: fromText(row.prompt_id) }),
    touched: row.touched,
    ...(row.ended_at !== null && { endedAt: row.ended_at }),
    ...(row.outcome !== null && { outcome: row.outcome }),
  };
}

export const APPROVAL_COLUMNS: string = "id, session, tool, input, requested_at, outcome, settled_at";

export interface ApprovalRow {
  readonly id: string;
  readonly session: string;
  readonly tool: string;
  readonly input: JsonObject;
  readonly requested_at: number;
  readonly outcome: NonNullable<ApprovalEntry["outcome"]> | null;
  readonly settled_at: number | null;
}

export function approvalOf(row: ApprovalRow): ApprovalEntry {
  return {
    id: fromText(row.id),
    session: fromText(row.session),
    tool: fromText(row.tool),
    input: row.input,
    requestedAt: row.requested_at,
    ...(row.outcome !== null && { outcome: row.outcome }),
    ...(row.settled_at !== null && { settledAt: row.settled_at }),
  };
}

export const JOB_COLUMNS: string = "id, session, prompt, prompt_kind, due_at, created_at, terms";

export interface JobRow {
  readonly id: string;
  readonly session: string;
  readonly prompt: string;
  readonly prompt_kind: StoredPromptKind | null;
  readonly due_at: number;
  readonly created_at: number;
  readonly terms: JsonObject;
}

export function jobOf(row: JobRow): JobEntry {
  return {
    id: fromText(row.id),
    session: fromText(row.session),
    prompt: fromText(row.prompt),
    ...(row.prompt_kind !== null && { promptKind: row.prompt_kind }),
    dueAt: row.due_at,
    createdAt: row.created_at,
    terms: row.terms,
  };
}

export const CONVERSATION_COLUMNS: string = "session, conversation_id, memory, left_at";

export interface ConversationRow {
  readonly session: string;
  readonly conversation_id: string;
  readonly memory: JsonObject;
  readonly left_at: number;
}

export function conversationOf(row: ConversationRow): ConversationEntry {
  return {
    session: fromText(row.session),
    conversationId: fromText(row.conversation_id),
    memory: row.memory,
    leftAt: row.left_at,
  };
}

/** Without the name of the distribution. */
export const SERVER_VERSION = "select split_part(current_setting('server_version'), ' ', 1) as version";

export interface ServerVersionRow {
  readonly version: string;
}

export const SPENT_SUMS: string = `sum(cost_usd) as cost_usd, sum(input_tokens) as input_tokens,
  sum(output_tokens) as output_tokens, sum(cache_read_input_tokens) as cache_read_input_tokens,
  sum(cache_creation_input_tokens) as cache_creation_input_tokens, sum(turns) as turns`;

export interface SpentRow extends Readonly<Partial<Record<UsageDimension, string>>> {
  readonly label?: string | null;
  readonly cost_usd: number;
  readonly input_tokens: number;
  readonly output_tokens: number;
  readonly cache_read_input_tokens: number;
  readonly cache_creation_input_tokens: number;
  readonly turns: number;
}

export function usageOf(row: SpentRow, by: readonly UsageDimension[]): UsageEntry {
  const dimensions = by.map((dimension) => [dimension, fromText(row[dimension] ?? "")]);
  return {
    ...Object.fromEntries(dimensions),
    ...(row.label !== undefined && row.label !== null && { label: fromText(row.label) }),
    costUsd: row.cost_usd,
    usage: {
      inputTokens: row.input_tokens,
      outputTokens: row.output_tokens,
      cacheReadInputTokens: row.cache_read_input_tokens,
      cacheCreationInputTokens: row.cache_creation_input_tokens,
    },
    turns: row.turns,
  };
}

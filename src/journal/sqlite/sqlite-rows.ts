import type { SQLOutputValue } from "node:sqlite";
import type { TurnOrigin } from "../../events.ts";
import { withoutUndefined } from "../../fields.ts";
import type { ApprovalEntry } from "../model/approval-entry.ts";
import type { ConversationEntry } from "../model/conversation-entry.ts";
import type { DeliveryEntry } from "../model/delivery-entry.ts";
import type { ContentEntry, EventExtent } from "../model/event-entry.ts";
import type { PageSegment } from "../model/event-page.ts";
import type { JobEntry } from "../model/job-entry.ts";
import type { JsonObject, SessionDescription, SessionEntry } from "../model/session-entry.ts";
import { labelsOf } from "../model/session-list.ts";
import { fromText } from "../model/stored-text.ts";
import type { TranscriptHead } from "../model/transcript-entry.ts";
import type { StoredPromptKind, TurnEntry, TurnEntryState } from "../model/turn-entry.ts";
import type { UsageEntry } from "../model/usage-entry.ts";
import { type Checked, expectedOf } from "./sqlite-checksum.ts";
import type { Row } from "./sqlite-messages.ts";
import { DIMENSIONS } from "./sqlite-statements.ts";

const NOUNS: { readonly [Of in Checked]: string } = {
  sessions: "session",
  description: "session",
  accepted: "turn",
  details: "turn",
  asker: "turn",
  progress: "turn",
  approvals: "approval",
  jobs: "job",
  deliveries: "the delivery of session",
  conversations: "conversation",
  spending: "spending",
  spending_turns: "spending",
  event_logs: "the events of session",
  events: "the events from",
  contents: "content",
  transcripts: "the transcript of conversation",
  transcript_parts: "a part of the transcript of conversation",
};

/** A damaged row: it differs from what was written, by a flipped bit or another program's change. */
export class DamagedRow extends Error {
  override readonly name: string = "DamagedRow";
}

export function sessionOf(row: Row): SessionEntry {
  verify("sessions", row, "checksum", text(row["key"]));
  return {
    key: text(row["key"]),
    supervisor: text(row["supervisor"]),
    conversationId: text(row["conversation_id"]),
    memory: json(row["memory"]),
    savedAt: Number(row["saved_at"]),
    ...(DESCRIPTION.some((column) => row[column] !== null) && { description: descriptionOf(row) }),
  };
}

/** All of these are null if nothing describes the session. */
const DESCRIPTION = ["created_at", "title", "labels", "archived_at", "description_memory", "description_checksum"];

function descriptionOf(row: Row): SessionDescription {
  verify("description", row, "description_checksum", text(row["key"]));
  const labels = row["labels"] === null ? undefined : labelsOf(JSON.parse(String(row["labels"])));
  return withoutUndefined({
    createdAt: row["created_at"] === null ? undefined : Number(row["created_at"]),
    title: row["title"] === null ? undefined : text(row["title"]),
    labels,
    archivedAt: row["archived_at"] === null ? undefined : Number(row["archived_at"]),
    memory: row["description_memory"] === null ? undefined : json(row["description_memory"]),
  });
}

export function turnOf(row: Row): TurnEntry {
  verify("accepted", row, "accepted_checksum", text(row["id"]));
  verify("progress", row, "progress_checksum", text(row["id"]));
  const hasDetails = [row["origin"], row["metadata"], row["details_checksum"]].some((value) => value !== null);
  if (hasDetails) verify("details", row, "details_checksum", text(row["id"]));
  const hasAsker = row["asked_by"] !== null || row["asker_checksum"] !== null;
  if (hasAsker) verify("asker", row, "asker_checksum", text(row["id"]));
  return {
    id: text(row["id"]),
    session: text(row["session"]),
    prompt: text(row["prompt"]),
    ...(row["prompt_kind"] === null ? {} : { promptKind: text(row["prompt_kind"]) as StoredPromptKind }),
    position: Number(row["position"]),
    durable: row["durable"] === 1,
    ...(row["timeout_ms"] === null ? {} : { timeoutMs: Number(row["timeout_ms"]) }),
    ...(row["queue_timeout_ms"] === null ? {} : { queueTimeoutMs: Number(row["queue_timeout_ms"]) }),
    acceptedAt: Number(row["accepted_at"]),
    ...(row["origin"] === null ? {} : { origin: text(row["origin"]) as TurnOrigin }),
    ...(row["asked_by"] === null ? {} : { by: text(row["asked_by"]) }),
    ...(row["metadata"] === null ? {} : { metadata: json(row["metadata"]) }),
    state: text(row["state"]) as TurnEntryState,
    attempts: Number(row["attempts"]),
    ...(row["prompt_id"] === null ? {} : { promptId: text(row["prompt_id"]) }),
    touched: row["touched"] === 1,
    ...(row["ended_at"] === null ? {} : { endedAt: Number(row["ended_at"]) }),
    ...(row["outcome"] === null ? {} : { outcome: json(row["outcome"]) }),
  };
}

export function approvalOf(row: Row): ApprovalEntry {
  verify("approvals", row, "checksum", text(row["id"]));
  const asked = {
    id: text(row["id"]),
    session: text(row["session"]),
    tool: text(row["tool"]),
    input: json(row["input"]),
    requestedAt: Number(row["requested_at"]),
  };
  if (row["settled_at"] === null) return asked;
  const outcome = text(row["outcome"]) as NonNullable<ApprovalEntry["outcome"]>;
  return { ...asked, outcome, settledAt: Number(row["settled_at"]) };
}

export function jobOf(row: Row): JobEntry {
  verify("jobs", row, "checksum", text(row["id"]));
  return {
    id: text(row["id"]),
    session: text(row["session"]),
    prompt: text(row["prompt"]),
    ...(row["prompt_kind"] === null ? {} : { promptKind: text(row["prompt_kind"]) as StoredPromptKind }),
    dueAt: Number(row["due_at"]),
    createdAt: Number(row["created_at"]),
    terms: json(row["terms"]),
  };
}

/** Calls `damaged` for a damaged row, which then begins at 0. */
export function deliveryOf(row: Row, damaged: (error: unknown) => void): DeliveryEntry {
  const entry = {
    session: text(row["session"]),
    endpoint: text(row["endpoint"]),
    supervisor: text(row["supervisor"]),
    after: Number(row["after_number"]),
    at: Number(row["at"]),
  };
  try {
    verify("deliveries", row, "checksum", entry.session);
    return entry;
  } catch (error) {
    damaged(error);
    return { ...entry, after: 0 };
  }
}

export function conversationOf(row: Row): ConversationEntry {
  verify("conversations", row, "checksum", text(row["conversation_id"]));
  return {
    session: text(row["session"]),
    conversationId: text(row["conversation_id"]),
    memory: json(row["memory"]),
    leftAt: Number(row["left_at"]),
  };
}

/** The segment is verified when it is read. @param session as in the query; the row has only a number for it */
export function segmentOf(session: string, row: Row): PageSegment {
  return {
    log: String(row["log"]),
    first: Number(row["first"]),
    last: Number(row["last"]),
    turn: row["turn"] === null ? undefined : text(row["turn"]),
    size: Number(row["size"]),
    read: () => {
      verify("events", row, "checksum", eventsIn(session, row));
      return JSON.parse(String(row["body"]));
    },
  };
}

function eventsIn(session: string, { first, last }: Row): string {
  return `${first} to ${last} of session ${session}`;
}

/** Returns the range of a log. @param end its last segment, if it has any */
export function eventExtentOf(session: string, row: Row, end: Row | undefined): EventExtent {
  verify("event_logs", row, "checksum", session);
  const [number, offset] = [Number(row["pruned_number"]), Number(row["pruned_offset"])];
  if (end === undefined) return { first: number + 1, last: number, bytes: 0 };
  verify("events", end, "checksum", eventsIn(session, end));
  const last = Number(end["last"]);
  return { first: Number(row["first_number"]), last, bytes: Number(end["end_offset"]) - offset };
}

export function contentOf(row: Row): ContentEntry {
  verify("contents", row, "checksum", text(row["hash"]));
  const data = row["data"];
  return {
    hash: text(row["hash"]),
    ...(row["media_type"] === null ? {} : { mediaType: text(row["media_type"]) }),
    data: data instanceof Uint8Array ? data : new Uint8Array(),
  };
}

export function transcriptHeadOf(row: Row): TranscriptHead {
  verify("transcripts", row, "checksum", text(row["conversation_id"]));
  return {
    session: text(row["session"]),
    conversationId: text(row["conversation_id"]),
    ...(row["subpath"] === "" ? {} : { subpath: text(row["subpath"]) }),
    ...(row["last_uuid"] === null ? {} : { lastUuid: text(row["last_uuid"]) }),
  };
}

/** @param conversationId as in the query; the row has only a number for it */
export function linesOf(conversationId: string, row: Row): string {
  verify("transcript_parts", row, "checksum", conversationId);
  return text(row["lines"]);
}

export function usageOf(row: Row): UsageEntry {
  if (Number(row["damaged"]) !== 0) {
    throw new DamagedRow(`rows of its spending that differ from what was written: ${row["damaged"]}`);
  }
  const names = [...DIMENSIONS, "label"].filter((name) => row[name] !== undefined && row[name] !== null);
  const dimensions = names.map((name) => [name, text(row[name])]);
  return {
    ...Object.fromEntries(dimensions),
    costUsd: Number(row["cost_usd"]),
    usage: {
      inputTokens: Number(row["input_tokens"]),
      outputTokens: Number(row["output_tokens"]),
      cacheReadInputTokens: Number(row["cache_read_input_tokens"]),
      cacheCreationInputTokens: Number(row["cache_creation_input_tokens"]),
    },
    turns: Number(row["turns"]),
  };
}

/** @param name of the entry, for the error. @throws DamagedRow */
function verify(of: Checked, row: Row, checksum: string, name: string): void {
  if (row[checksum] === expectedOf(of, row)) return;
  throw new DamagedRow(`its row of ${NOUNS[of]} ${name} differs from what was written`);
}

function text(value: SQLOutputValue | undefined): string {
  return fromText(String(value));
}

function json(value: SQLOutputValue | undefined): JsonObject {
  return JSON.parse(String(value)) as JsonObject;
}

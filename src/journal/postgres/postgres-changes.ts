import { createHash } from "node:crypto";
import type { Change } from "../model/change.ts";
import { type ChangeGroup, type ChangeOf, changeGroups } from "../model/change-groups.ts";
import { type ContentEntry, contentsOf, namedBy, requireStorable } from "../model/event-entry.ts";
import { SegmentBuilder } from "../model/event-segment.ts";
import { storedLabels } from "../model/session-list.ts";
import { NOTHING_SPENT, type Spending, sumOf, withTurns } from "../model/spending.ts";
import { toText } from "../model/stored-text.ts";
import {
  ADD_LABELS,
  APPEND_WITH_CONTENTS,
  BEGIN_TRANSCRIPTS,
  CHANGE_STATEMENTS,
  DROP_UNUSED_CONTENTS,
  FORGET_LABELS,
  LOCK_CONTENTS,
  LOCK_LOGS,
  LOCK_TURN_CONTENTS,
  REFER_FROM_TURNS,
  STORE_CONTENT,
} from "./postgres-change-statements.ts";
import { messageOf, type PostgresSubject, unavailable } from "./postgres-fault.ts";

/** A statement and its parameters. */
export interface ChangeStatement {
  readonly text: string;
  readonly rows: string;
  readonly data?: Uint8Array;
}

/** Returns the parameters of a statement, in order. */
export function parametersOf({ rows, data }: ChangeStatement): readonly unknown[] {
  return data === undefined ? [rows] : [rows, Buffer.from(data.buffer, data.byteOffset, data.byteLength)];
}

/**
 * Returns the statements for the changes, in order.
 *
 * @param subject the journal, for errors
 * @throws CastellanError `JOURNAL_UNAVAILABLE` if a change cannot be written as JSON
 */
export function statementsOf(changes: readonly Change[], subject: PostgresSubject): ChangeStatement[] {
  try {
    return changeGroups(changes).flatMap((group) => {
      if (group.type === "event_appended") return appending(group.changes);
      if (group.type === "transcript_appended") return appendingParts(group.changes);
      if (group.type === "session_described") return describing(group.changes);
      const statement = { text: CHANGE_STATEMENTS[group.type], rows: JSON.stringify(changeRows(group)) };
      if (group.type === "turn_accepted") return accepting(group.changes, statement);
      return [...(LOCKS[group.type] ?? []).map((text) => ({ text, rows: statement.rows })), statement];
    });
  } catch (cause) {
    // A cycle, or a text that is too long.
    throw unavailable(subject, "refused", messageOf(cause), { applied: false, cause });
  }
}

/** What to lock before deletions that may delete contents. */
const LOCKS: { readonly [Type in Change["type"]]?: readonly string[] } = {
  session_forgotten: [LOCK_LOGS, LOCK_CONTENTS],
  session_erased: [LOCK_LOGS, LOCK_CONTENTS],
  turn_withdrawn: [LOCK_TURN_CONTENTS],
};

/** Returns the changes of a group as rows for their statement, see postgres-change-statements.ts. */
function changeRows(
  group: Exclude<ChangeGroup, { readonly type: "session_described" | "event_appended" | "transcript_appended" }>,
): object[] {
  switch (group.type) {
    case "session_saved":
      return group.changes.map(({ session }) => ({
        key: toText(session.key),
        supervisor: toText(session.supervisor),
        conversation_id: toText(session.conversationId),
        memory: JSON.stringify(session.memory),
        saved_at: session.savedAt,
      }));
    case "session_forgotten":
      return group.changes.map(({ session }) => ({ session: toText(session) }));
    case "session_erased":
      return group.changes.map(({ session, as }) => ({ session: toText(session), as: toText(as) }));
    case "conversation_left":
      return group.changes.map(({ conversation }) => ({
        session: toText(conversation.session),
        conversation_id: toText(conversation.conversationId),
        memory: JSON.stringify(conversation.memory),
        left_at: conversation.leftAt,
      }));
    case "conversation_erased":
      return group.changes.map(({ session, conversationId }) => ({
        session: toText(session),
        conversation_id: toText(conversationId),
      }));
    case "turn_accepted":
      return group.changes.map(({ turn, begun }) => ({
        id: toText(turn.id),
        session: toText(turn.session),
        prompt: toText(turn.prompt),
        prompt_kind: turn.promptKind,
        position: turn.position,
        durable: turn.durable,
        timeout_ms: turn.timeoutMs,
        queue_timeout_ms: turn.queueTimeoutMs,
        accepted_at: turn.acceptedAt,
        origin: turn.origin,
        asked_by: turn.by === undefined ? undefined : toText(turn.by),
        metadata: turn.metadata === undefined ? undefined : JSON.stringify(turn.metadata),
        state: begun === undefined ? "queued" : "running",
        attempts: begun?.attempt ?? 0,
        prompt_id: begun === undefined ? undefined : toText(begun.promptId),
      }));
    case "turn_begun":
      return group.changes.map(({ turn, promptId, attempt }) => ({
        id: toText(turn),
        prompt_id: toText(promptId),
        attempts: attempt,
      }));
    case "turn_withdrawn":
    case "turn_touched":
      return group.changes.map(({ turn }) => ({ id: toText(turn) }));
    case "turn_requeued":
      return group.changes.map(({ turn, position, attempts }) => ({ id: toText(turn), position, attempts }));
    case "turn_ended":
      return group.changes.map(({ turn, state, at, outcome }) => ({
        id: toText(turn),
        state,
        ended_at: at,
        outcome: JSON.stringify(outcome),
      }));
    case "job_saved":
    case "job_added":
      return group.changes.map(({ job }) => ({
        id: toText(job.id),
        session: toText(job.session),
        prompt: toText(job.prompt),
        prompt_kind: job.promptKind,
        due_at: job.dueAt,
        created_at: job.createdAt,
        priority: typeof job.terms["priority"] === "number" ? job.terms["priority"] : 0,
        terms: JSON.stringify(job.terms),
      }));
    case "job_dropped":
      return group.changes.map(({ job }) => ({ id: toText(job) }));
    case "delivery_due":
      return group.changes.map(({ delivery }) => ({
        session: toText(delivery.session),
        endpoint: toText(delivery.endpoint),
        supervisor: toText(delivery.supervisor),
        after: delivery.after,
        at: delivery.at,
      }));
    case "delivery_advanced":
      return group.changes.map(({ session, endpoint, after, at }) => ({
        session: toText(session),
        endpoint: toText(endpoint),
        after,
        at,
      }));
    case "delivery_done":
      return group.changes.map(({ session, endpoint }) => ({ session: toText(session), endpoint: toText(endpoint) }));
    case "spent":
      return spentRows(group.changes);
    case "approval_requested":
      return group.changes.map(({ approval }) => ({
        id: toText(approval.id),
        session: toText(approval.session),
        tool: toText(approval.tool),
        input: JSON.stringify(approval.input),
        requested_at: approval.requestedAt,
      }));
    case "approval_settled":
      return group.changes.map(({ approval, outcome, at }) => ({ id: toText(approval), outcome, settled_at: at }));
  }
}

/** Replaces the descriptions of sessions, and their labels. */
function describing(changes: readonly ChangeOf<"session_described">[]): ChangeStatement[] {
  const rows = changes.map(({ session, description }) => {
    const { createdAt, title, archivedAt, memory } = description;
    const labels = storedLabels(description);
    return {
      key: toText(session),
      created_at: createdAt,
      title: title === undefined ? undefined : toText(title),
      labels: labels.length === 0 ? undefined : JSON.stringify(Object.fromEntries(labels)),
      archived_at: archivedAt,
      memory: memory === undefined ? undefined : JSON.stringify(memory),
    };
  });
  const labels = changes.flatMap(({ session, description }) =>
    storedLabels(description).map(([label, value]) => ({ label, value, key: toText(session) })),
  );
  const described = JSON.stringify(rows);
  return [
    { text: CHANGE_STATEMENTS.session_described, rows: described },
    { text: FORGET_LABELS, rows: described },
    ...(labels.length === 0 ? [] : [{ text: ADD_LABELS, rows: JSON.stringify(labels) }]),
  ];
}

/** A segment of a batch, the sizes of its events, and the contents that they refer to, by number. */
interface NewSegment {
  readonly session: string;
  readonly builder: SegmentBuilder;
  readonly sizes: number[];
  readonly contents: [number: number, hash: string][];
}

/** Returns the segments of the events, without those that an earlier one of their session has passed. */
function segmentRows(changes: readonly ChangeOf<"event_appended">[]): object[] {
  const last = new Map<string, { readonly number: number; readonly segment: NewSegment }>();
  const segments: NewSegment[] = [];
  for (const change of changes) {
    const { event } = change;
    requireStorable(event);
    const before = last.get(event.session);
    if (before !== undefined && event.number <= before.number) continue;
    let segment = before?.segment;
    if (segment?.builder.takes(event) !== true) {
      segment = { session: event.session, builder: new SegmentBuilder(), sizes: [], contents: [] };
      segments.push(segment);
    }
    segment.sizes.push(segment.builder.add(event, contentsOf(change)));
    segment.contents.push(...namedBy(event).map((hash): [number, string] => [event.number, toText(hash)]));
    last.set(event.session, { number: event.number, segment });
  }
  return segments.map(({ session, builder, sizes, contents }) => {
    const { turn, ...segment } = builder.build();
    return {
      session: toText(session),
      ...segment,
      ...(turn !== undefined && { turn: toText(turn) }),
      sizes,
      ...(contents.length > 0 && { contents }),
    };
  });
}

/** Stores contents before events, ordered so that two batches never wait for each other. */
function appending(changes: readonly ChangeOf<"event_appended">[]): ChangeStatement[] {
  const events = JSON.stringify(segmentRows(changes));
  if (changes.every(({ event }) => namedBy(event).length === 0)) {
    return [{ text: CHANGE_STATEMENTS.event_appended, rows: events }];
  }
  return storing(changes.flatMap(contentsOf), { text: APPEND_WITH_CONTENTS, rows: events });
}

/** Accepts turns, with the contents to which they refer. */
function accepting(changes: readonly ChangeOf<"turn_accepted">[], accept: ChangeStatement): ChangeStatement[] {
  const contents = changes.flatMap((change) => change.contents ?? []);
  if (contents.length === 0) return [accept];
  const references = changes.flatMap(({ turn, contents: own = [] }) =>
    own.map(({ hash }) => ({ hash: toText(hash), id: toText(turn.id), prompt: toText(turn.prompt) })),
  );
  return storing(contents, accept, { text: REFER_FROM_TURNS, rows: JSON.stringify(references) });
}

/** Stores contents, each once and in order, before the statements that refer to them. */
function storing(contents: readonly ContentEntry[], ...referring: readonly ChangeStatement[]): ChangeStatement[] {
  const byHash = new Map(contents.map((content) => [content.hash, content]));
  const stored = [...byHash.values()].map(({ hash, mediaType, data }) => ({
    row: { hash: toText(hash), media_type: mediaType === undefined ? null : toText(mediaType) },
    data,
  }));
  stored.sort((one, other) => (one.row.hash < other.row.hash ? -1 : 1));
  return [
    ...stored.map(({ row, data }) => ({ text: STORE_CONTENT, rows: JSON.stringify([row]), data })),
    ...referring,
    { text: DROP_UNUSED_CONTENTS, rows: JSON.stringify(stored.map(({ row }) => ({ hash: row.hash }))) },
  ];
}

/** Creates the transcripts before their parts. */
function appendingParts(changes: readonly ChangeOf<"transcript_appended">[]): ChangeStatement[] {
  const rows = changes.map(({ part }, ordinal) => ({
    ordinal,
    conversation_id: toText(part.conversationId),
    subpath: toText(part.subpath ?? ""),
    session: toText(part.session),
    last_uuid: part.lastUuid === undefined ? null : toText(part.lastUuid),
    lines: toText(part.lines),
  }));
  // The statement can update a row only once.
  const transcripts = new Map(
    rows.map(({ conversation_id, subpath, session }) => [
      JSON.stringify([conversation_id, subpath]),
      { conversation_id, subpath, session },
    ]),
  );
  return [
    { text: BEGIN_TRANSCRIPTS, rows: JSON.stringify([...transcripts.values()]) },
    { text: CHANGE_STATEMENTS.transcript_appended, rows: JSON.stringify(rows) },
  ];
}

/** Returns one row per combination of dimensions: a statement can update a row only once. */
function spentRows(changes: readonly ChangeOf<"spent">[]): object[] {
  const sums = new Map<
    string,
    { readonly spender: readonly string[]; readonly spent: Spending; readonly turns: number }
  >();
  for (const { supervisor, session, day, models, turns: counted } of changes) {
    for (const { model, turns, ...spending } of withTurns(models, counted)) {
      const spender = [supervisor, session, model, day];
      const id = JSON.stringify(spender);
      const before = sums.get(id);
      const spent = sumOf([before?.spent ?? NOTHING_SPENT, spending]);
      sums.set(id, { spender, spent, turns: (before?.turns ?? 0) + turns });
    }
  }
  return [...sums].map(([id, { spender, spent, turns }]) => {
    const [supervisor, session, model, day] = spender.map(toText);
    return {
      // An index entry is limited in length.
      digest: createHash("sha256").update(id).digest("hex"),
      supervisor,
      session,
      model,
      day,
      cost_usd: spent.costUsd,
      input_tokens: spent.usage.inputTokens,
      output_tokens: spent.usage.outputTokens,
      cache_read_input_tokens: spent.usage.cacheReadInputTokens,
      cache_creation_input_tokens: spent.usage.cacheCreationInputTokens,
      turns,
    };
  });
}

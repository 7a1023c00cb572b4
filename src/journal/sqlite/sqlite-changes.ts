import type { SQLInputValue } from "node:sqlite";
import type { Change } from "../model/change.ts";
import type { ContentEntry } from "../model/event-entry.ts";
import type { SessionDescription } from "../model/session-entry.ts";
import { storedLabels } from "../model/session-list.ts";
import { withTurns } from "../model/spending.ts";
import { toText } from "../model/stored-text.ts";
import type { SavedSupervisors } from "./saved-supervisors.ts";
import { checksumOf, NO_OUTCOME } from "./sqlite-checksum.ts";
import type { EventBatch } from "./sqlite-event-heads.ts";
import type { Step } from "./sqlite-messages.ts";
import { SQL } from "./sqlite-statements.ts";
import { appendingPart, deletingConversation, deletingTranscripts } from "./sqlite-transcripts.ts";

type Value = string | number | null;

/**
 * Returns the statements for a change. `events` collects the events, whose statements come last. `supervisors` knows the
 * sessions that have not moved.
 *
 * @throws TypeError, RangeError if a value cannot be stored
 */
export function stepsOf(change: Change, events: EventBatch, supervisors: SavedSupervisors): Step[] {
  switch (change.type) {
    case "session_saved": {
      const { key, supervisor, conversationId, memory, savedAt } = change.session;
      const texts = [toText(key), toText(supervisor), toText(conversationId), JSON.stringify(memory)];
      const saved = inserting("saveSession", ...texts, savedAt);
      if (!supervisors.mayMove(key, supervisor)) return [saved];
      return [saved, step("moveSession", toText(supervisor), toText(key), toText(supervisor))];
    }
    case "session_described":
      return describing(change.session, change.description);
    case "session_forgotten":
      return forgetting(change.session, events);
    case "session_erased":
      return [
        ...forgetting(change.session, events),
        step("renameSpender", ...Array.from({ length: 3 }, () => toText(change.as)), toText(change.session)),
      ];
    case "conversation_left": {
      const { session, conversationId, memory, leftAt } = change.conversation;
      return [inserting("leaveConversation", toText(session), toText(conversationId), JSON.stringify(memory), leftAt)];
    }
    case "conversation_erased":
      return [
        step("eraseConversation", toText(change.session), toText(change.conversationId)),
        ...deletingConversation(change.session, change.conversationId),
      ];
    case "turn_accepted": {
      const { id, session, prompt, promptKind = null, position, durable, acceptedAt, origin = null } = change.turn;
      const { begun } = change;
      const promptId = begun === undefined ? null : toText(begun.promptId);
      const progress = [begun === undefined ? "queued" : "running", begun?.attempt ?? 0, promptId];
      const metadata = change.turn.metadata === undefined ? null : JSON.stringify(change.turn.metadata);
      const by = change.turn.by === undefined ? null : toText(change.turn.by);
      const texts = [toText(id), toText(session), toText(prompt), promptKind];
      const limits = [change.turn.timeoutMs ?? null, change.turn.queueTimeoutMs ?? null];
      const checksums = [
        checksumOf(...texts, Number(durable), ...limits, acceptedAt),
        origin === null && metadata === null ? null : checksumOf(toText(id), origin, metadata),
        checksumOf(toText(id), position, ...progress, 0, null, NO_OUTCOME),
        by === null ? null : checksumOf(toText(id), by),
      ];
      return [
        step(
          "acceptTurn",
          ...texts,
          position,
          Number(durable),
          ...limits,
          acceptedAt,
          origin,
          metadata,
          by,
          ...progress,
          ...checksums,
        ),
        ...(change.contents ?? []).flatMap((content) => naming(content, [toText(id), checksums[0] ?? 0])),
      ];
    }
    case "turn_withdrawn":
      return [step("withdrawTurn", toText(change.turn))];
    case "turn_begun":
      return [changing("beginTurn", [change.attempt, toText(change.promptId)], toText(change.turn))];
    case "turn_touched":
      return [step("touchTurn", toText(change.turn))];
    case "turn_requeued":
      return [changing("requeueTurn", [change.position, change.attempts ?? null], toText(change.turn))];
    case "turn_ended": {
      const [id, outcome] = [toText(change.turn), JSON.stringify(change.outcome)];
      const values = [change.state, change.at];
      return [step("endTurn", ...values, outcome, ...values, checksumOf(outcome), id)];
    }
    case "job_saved":
    case "job_added": {
      const { id, session, prompt, promptKind = null, dueAt, createdAt, terms } = change.job;
      const texts = [toText(id), toText(session), toText(prompt), promptKind];
      const how = change.type === "job_saved" ? "saveJob" : "addJob";
      return [inserting(how, ...texts, dueAt, createdAt, JSON.stringify(terms))];
    }
    case "job_dropped":
      return [step("dropJob", toText(change.job))];
    case "delivery_due": {
      const { session, endpoint, supervisor, after, at } = change.delivery;
      return [inserting("dueDelivery", toText(session), toText(endpoint), toText(supervisor), after, at)];
    }
    case "delivery_advanced": {
      const values = [change.after, change.at];
      return [step("advanceDelivery", ...values, ...values, toText(change.session), toText(change.endpoint))];
    }
    case "delivery_done":
      return [step("endDelivery", toText(change.session), toText(change.endpoint))];
    case "spent":
      return withTurns(change.models, change.turns).map(({ model, costUsd, usage, turns }) => {
        const texts = [change.supervisor, change.session, model, change.day].map(toText);
        const { inputTokens, outputTokens, cacheReadInputTokens, cacheCreationInputTokens } = usage;
        const tokens = [inputTokens, outputTokens, cacheReadInputTokens, cacheCreationInputTokens];
        const checksums = [checksumOf(...texts, costUsd, ...tokens), checksumOf(...texts, turns)];
        return step("spend", ...texts, costUsd, ...tokens, turns, ...checksums);
      });
    case "approval_requested": {
      const { id, session, tool, input, requestedAt } = change.approval;
      const values = [toText(id), toText(session), toText(tool), JSON.stringify(input), requestedAt];
      return [step("requestApproval", ...values, checksumOf(...values, null, null))];
    }
    case "approval_settled":
      return [changing("settleApproval", [change.outcome, change.at], toText(change.approval))];
    case "event_appended":
      events.append(change);
      return [];
    case "transcript_appended":
      return appendingPart(change.part);
    default:
      return change satisfies never;
  }
}

function describing(session: string, description: SessionDescription): Step[] {
  const { createdAt = null, title, archivedAt = null, memory } = description;
  const [key, labels] = [toText(session), storedLabels(description)];
  const values = [
    createdAt,
    title === undefined ? null : toText(title),
    labels.length === 0 ? null : JSON.stringify(Object.fromEntries(labels)),
    archivedAt,
    memory === undefined ? null : JSON.stringify(memory),
  ];
  return [
    step("describeSession", ...values, checksumOf(key, ...values), key),
    step("forgetLabels", key),
    ...labels.map(([label, value]) => step("addLabel", label, value, key)),
  ];
}

/** Stores a content to which a turn refers. @param turn its id and its checksum */
function naming({ hash, mediaType, data }: ContentEntry, turn: readonly [string, number]): Step[] {
  const values = [toText(hash), mediaType === undefined ? null : toText(mediaType)];
  return [
    step("storeTurnContent", ...values, checksumOf(...values, data), data, ...turn),
    step("referFromTurn", toText(hash), ...turn),
  ];
}

function forgetting(session: string, events: EventBatch): Step[] {
  const names = [
    "forgetSession",
    "forgetLabels",
    "forgetTurns",
    "forgetApprovals",
    "forgetConversations",
    "forgetJobs",
    "forgetDeliveries",
  ] as const;
  return [
    step("leaveResidue"),
    ...names.map((name) => step(name, toText(session))),
    ...events.forget(session),
    ...deletingTranscripts(session),
  ];
}

/** Inserts a row with a checksum over its values. */
function inserting(name: keyof typeof SQL, ...values: readonly Value[]): Step {
  return step(name, ...values, checksumOf(...values));
}

/** Passes the new values twice: for the row, and for its checksum. */
function changing(name: keyof typeof SQL, values: readonly Value[], id: string): Step {
  return step(name, ...values, ...values, id);
}

function step(name: keyof typeof SQL, ...parameters: SQLInputValue[]): Step {
  return { sql: SQL[name], parameters };
}

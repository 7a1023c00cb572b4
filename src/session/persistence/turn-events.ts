import { CastellanError } from "../../errors.ts";
import type { TurnOrigin } from "../../events.ts";
import { withoutUndefined } from "../../fields.ts";
import type { Change } from "../../journal/model/change.ts";
import type { Json, JsonObject } from "../../journal/model/session-entry.ts";
import type { AcceptedTurn, EndedTurnState, TurnEntry } from "../../journal/model/turn-entry.ts";
import type { PromptText } from "../options/prompt.ts";
import { type ContentReference, isReference } from "../record/content.ts";
import type { EventDraft } from "../record/session-event-types.ts";
import type { ExtractedDraft } from "../record/session-record.ts";
import type { TurnEnd } from "../streams/reply.ts";
import { isStop } from "../streams/response-view.ts";
import { jsonOf } from "../streams/turn-end.ts";
import type { TurnRecord } from "../streams/turn-record.ts";
import { type StoredPrompt, storedPrompt } from "./stored-prompt.ts";

/** Returns the event of a turn that a caller asked for. */
export function turnAccepted(
  { id: turnId, promptKind, by, metadata }: Pick<TurnRecord, "id" | "promptKind" | "by" | "metadata">,
  { json, contents }: StoredPrompt,
): ExtractedDraft {
  const prompt = typeof json === "string" || isText(json) ? { prompt: json } : { blocks: json };
  const draft = { type: "turn_accepted", turnId, origin: "caller", promptKind, ...prompt } as const;
  return { draft: { ...draft, ...withoutUndefined({ by, metadata }) }, contents };
}

/** Returns the change that puts a turn into the journal; with `promptId`, as one whose prompt is about to be sent. */
export function turnInJournal(
  record: TurnRecord,
  session: string,
  { row, contents }: StoredPrompt,
  promptId: string | undefined,
): Change {
  const { id, position, durable, timeoutMs, queueTimeoutMs, acceptedAt, by, metadata } = record;
  const limits = { timeoutMs, queueTimeoutMs: Number.isFinite(queueTimeoutMs) ? queueTimeoutMs : undefined };
  const turn = { id, session, position, durable, acceptedAt, ...row, ...withoutUndefined({ ...limits, by, metadata }) };
  const begun = promptId === undefined ? undefined : { promptId, attempt: record.attempts + 1 };
  return { type: "turn_accepted", turn, ...(contents.length > 0 && { contents }), ...(begun && { begun }) };
}

/** Returns the change that puts a turn of another application into the journal, as it was accepted. */
export function acceptedElsewhere(
  { id, session, position, durable, acceptedAt, timeoutMs, queueTimeoutMs, origin, by, metadata }: TurnEntry,
  { text: prompt, kind: promptKind, blocks: promptBlocks }: PromptText,
): Change {
  const { row, contents } = storedPrompt({ prompt, promptKind, promptBlocks });
  const optional = withoutUndefined({ timeoutMs, queueTimeoutMs, origin, by, metadata });
  const turn = { id, session, position, durable, acceptedAt, ...row, ...optional };
  return { type: "turn_accepted", turn, ...(contents.length > 0 && { contents }) };
}

/** Returns the change of a turn whose prompt is about to be sent to the process. */
export function turnBegun({ id: turn, attempts }: TurnRecord, promptId: string): Change {
  return { type: "turn_begun", turn, promptId, attempt: attempts + 1 };
}

/** Returns the event of a turn whose prompt is about to be sent to the process. */
export function turnStarted({ id: turnId, attempts }: TurnRecord, promptId: string): EventDraft {
  return { type: "turn_started", turnId, attempt: attempts + 1, promptId };
}

/** Returns the event of a turn that the journal has already. */
export function acceptedBefore({ id, by, metadata }: TurnEntry, asked: PromptText): ExtractedDraft {
  const { text: prompt, kind: promptKind, blocks: promptBlocks } = asked;
  return turnAccepted({ id, promptKind, by, metadata }, storedPrompt({ prompt, promptKind, promptBlocks }));
}

/** Returns the event of a turn that Claude Code began by itself. */
export function unpromptedAccepted({ id: turnId, origin }: TurnRecord): EventDraft {
  return { type: "turn_accepted", turnId, origin };
}

/** Whether JSON in a prompt's place is a text: large blocks are JSON. */
function isText(json: Json): json is JsonObject & ContentReference {
  return isReference(json) && json.mediaType === "text/plain";
}

/** Returns the events of a turn's end: unfinished blocks, messages that the model did not get, and the end. */
export function turnEnded(record: TurnRecord, state: EndedTurnState, end: TurnEnd): EventDraft[] {
  const { id: turnId, costUsd, conversation, recalled } = record;
  const cut = [
    ...record.blocks.cut().map((draft): EventDraft => ({ ...draft, turnId })),
    ...record.steers.unread.map(({ id }): EventDraft => ({ type: "steer_settled", turnId, id, outcome: "unread" })),
  ];
  if ("error" in end) {
    const { code, message } = end.error;
    const error = { code, message, ...withoutUndefined({ class: classOf(end.error) }) };
    const rest = withoutUndefined({ costUsd, conversation, cut: recalled ? (true as const) : undefined });
    return [...cut, { type: "turn_ended", turnId, state, error, ...rest }];
  }
  const { stopReason, command, usage, durationMs, model } = end.reply;
  const structured = end.output === undefined ? undefined : jsonOf({ output: end.output })["output"];
  const rest = withoutUndefined({ command, structured, model });
  return [
    ...cut,
    { type: "turn_ended", turnId, state, stopReason, usage, costUsd: end.reply.costUsd, durationMs, ...rest },
  ];
}

/** Returns why a turn failed, or why the process ended that a turn was cut by. */
function classOf(error: CastellanError): string | undefined {
  if (CastellanError.is(error, "TURN_FAILED")) return error.details.class;
  if (!CastellanError.is(error, "TURN_INTERRUPTED") || isStop(error)) return undefined;
  return error.details.exit?.class ?? "unknown";
}

/**
 * Returns the changes for a turn that Claude Code began by itself and that has ended. Earlier changes about it would make
 * the next start of the application run it again, which only Claude Code can do.
 */
export function ownTurn(
  turn: Pick<AcceptedTurn, "id" | "session" | "acceptedAt"> & { readonly origin: TurnOrigin },
  { state, at, outcome }: { readonly state: EndedTurnState; readonly at: number; readonly outcome: JsonObject },
): Change[] {
  return [
    { type: "turn_accepted", turn: { ...turn, prompt: "", position: 0, durable: false } },
    { type: "turn_ended", turn: turn.id, state, at, outcome },
  ];
}

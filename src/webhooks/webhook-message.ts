import { withoutUndefined } from "../fields.ts";
import type { EventEntry } from "../journal/model/event-entry.ts";
import type { Json, JsonObject } from "../journal/model/session-entry.ts";
import type { TurnEntry } from "../journal/model/turn-entry.ts";
import { nameOfKey, type SessionName } from "../names.ts";
import { publicRecordedError, shownReply } from "../session/streams/response-view.ts";
import { endOf } from "../session/streams/turn-end.ts";
import type { WebhookType } from "./webhook-type.ts";

/** The length of an answer's text, in characters, from which on it is left out. */
const MOST_TEXT = 100_000;

/** The name of a session, as in the HTTP API. */
export type WebhookSession = SessionName | { readonly global: string | readonly (string | number)[] };

/** Returns the name of a session as a webhook shows it. */
export function webhookSession(key: string, isGlobal: boolean): WebhookSession {
  const name = nameOfKey(key);
  if (!isGlobal || typeof name === "string") return name;
  const [, first = "", ...rest] = name;
  return { global: rest.length === 0 ? String(first) : [first, ...rest] };
}

/** The body of a request. */
export interface WebhookMessage {
  readonly type: WebhookType | "webhook.test";
  /** When it happened, in ISO 8601. */
  readonly timestamp: string;
  readonly data: object;
}

/**
 * Returns the body of the request about an event. It has ids, the name, states, times and the code of an error, and no prompt,
 * input or answer; with `turn`, the answer of a completed turn.
 */
export function webhookMessage(
  type: WebhookType,
  session: WebhookSession,
  { number, at, turn: turnId, body }: EventEntry,
  turn?: TurnEntry,
): WebhookMessage {
  const facts = { session, event: number, ...withoutUndefined({ turnId }) };
  const data = type.startsWith("turn.")
    ? { ...facts, state: body["state"], ...errorOf(body["error"]), ...(turn !== undefined && resultOf(turn)) }
    : { ...facts, approvalId: body["id"], ...approvalFacts(body) };
  return { type, timestamp: new Date(at).toISOString(), data };
}

function errorOf(error: Json | undefined): { readonly error?: object } {
  if (!isObject(error) || typeof error["code"] !== "string") return {};
  const type = error["class"];
  return { error: publicRecordedError(error["code"], typeof type === "string" ? type : undefined) };
}

function approvalFacts({ tool, expiresAt, outcome }: JsonObject): object {
  return withoutUndefined({
    tool,
    outcome,
    expiresAt: typeof expiresAt === "number" ? new Date(expiresAt).toISOString() : undefined,
  });
}

/** Returns what users may see of a completed turn's reply. */
function resultOf({ outcome }: TurnEntry): object {
  const end = endOf(outcome, "webhook", undefined);
  if (!("reply" in end)) return {};
  const { text } = shownReply(end.reply, "user");
  const { output } = end;
  const isLarge = text.length > MOST_TEXT || (output !== undefined && JSON.stringify(output).length > MOST_TEXT);
  return isLarge ? { resultOmitted: true } : { result: withoutUndefined({ text, structured: output }) };
}

function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

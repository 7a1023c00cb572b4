import type { SDKMessage } from "@anthropic-ai/claude-agent-sdk";
import { z } from "zod";
import type { TurnOrigin } from "../../events.ts";
import { pick, withoutUndefined } from "../../fields.ts";
import type { JsonObject } from "../../journal/model/session-entry.ts";
import { nameProblem } from "../../names.ts";
import { isEventType } from "../../session/record/event-options.ts";
import type { CallAnswer, CallRequest, EventFrame, EventsRequest, TurnFrame, TurnRequest } from "./frames.ts";

/*
 * Parses what nodes send. Unknown fields pass, so that two releases can talk to each other. Values that are only passed
 * on are not checked: SDK messages, outcomes, arguments.
 */

const count = z.int().nonnegative();
const jsonObject = z.custom<JsonObject>(isObject, "Invalid input: expected object");
const message = z.custom<SDKMessage>(
  (value) => isObject(value) && typeof value["type"] === "string",
  "Invalid input: expected a message with a type",
);
const sentError = z.looseObject({ code: z.string(), message: z.string(), details: jsonObject });
const owner = z.looseObject({ boot: z.string(), address: z.string() });

/**
 * The canonical name of a session: a second spelling of the same name would count as another session in some places.
 */
const key = z.string().refine(isKey, "Invalid input: expected the canonical name of a session");

const turnRequest = z.looseObject({
  key,
  turnId: z.string(),
  ask: z
    .looseObject({
      prompt: z.string(),
      /** The session checks them. */
      blocks: z.array(z.unknown()).exactOptional(),
      command: z.looseObject({ name: z.string(), args: z.string() }).exactOptional(),
      verbatimPrompts: z.boolean().exactOptional(),
      idempotencyKey: z.string(),
      timeoutMs: z.number().nonnegative().exactOptional(),
      queueTimeoutMs: z.number().nonnegative().exactOptional(),
      whenBusy: z.enum(["enqueue", "reject", "interrupt", "rollback"]).exactOptional(),
      by: z.string().exactOptional(),
      metadata: jsonObject.exactOptional(),
    })
    .exactOptional(),
  after: z.looseObject({ boot: z.string(), life: z.string().exactOptional(), number: count }).exactOptional(),
  known: z.boolean().exactOptional(),
  confirm: z.boolean().exactOptional(),
  messages: z.boolean(),
  claim: z.boolean(),
});

const callRequest = z.looseObject({
  key,
  method: z.string(),
  args: z.array(z.unknown()),
  claim: z.boolean(),
});

const eventsRequest = z.looseObject({
  key,
  options: z
    .looseObject({
      after: count.exactOptional(),
      /** Types of later releases pass. */
      types: z.array(z.string()).exactOptional(),
      turn: z.string().exactOptional(),
      live: z.boolean().exactOptional(),
    })
    .default({}),
});

const turnFrame = z.discriminatedUnion("type", [
  z.looseObject({
    type: z.literal("found"),
    boot: z.string(),
    number: count,
    recalled: z.boolean(),
    /** Also one of a later release. */
    origin: z.custom<TurnOrigin>((value) => typeof value === "string").exactOptional(),
    by: z.string().exactOptional(),
    metadata: jsonObject.exactOptional(),
  }),
  z.looseObject({ type: z.literal("ready") }),
  z.looseObject({ type: z.literal("accepted") }),
  z.looseObject({
    type: z.literal("messages"),
    life: z.string().exactOptional(),
    promptId: z.string().exactOptional(),
    number: count,
    attempt: count,
    messages: z.array(message),
  }),
  z.looseObject({
    type: z.literal("end"),
    state: z.enum(["completed", "failed", "interrupted", "cancelled", "timed_out"]),
    attempts: count,
    touched: z.boolean(),
    promptId: z.string().exactOptional(),
    outcome: jsonObject,
  }),
  z.looseObject({ type: z.literal("left"), begun: z.literal(false).exactOptional() }),
  z.looseObject({ type: z.literal("unknown") }),
  z.looseObject({ type: z.literal("refused"), error: sentError }),
  z.looseObject({ type: z.literal("events_lost"), oldest: count }),
  z.looseObject({ type: z.literal("not_owner"), owner: owner.exactOptional() }),
]);

const callAnswer = z.discriminatedUnion("type", [
  z.looseObject({ type: z.literal("answer"), value: z.unknown() }),
  z.looseObject({ type: z.literal("failed"), error: sentError }),
  z.looseObject({ type: z.literal("not_owner"), owner: owner.exactOptional() }),
]);

const eventFrame = z.discriminatedUnion("type", [
  z.looseObject({ type: z.literal("begins"), after: count }),
  z.looseObject({ type: z.literal("event"), event: z.unknown() }),
  z.looseObject({ type: z.literal("refused"), error: sentError }),
  z.looseObject({ type: z.literal("not_owner"), owner: owner.exactOptional() }),
]);

const FRAME_TYPES: ReadonlySet<unknown> = new Set(turnFrame.options.map(({ shape }) => shape.type.value));
const EVENT_FRAME_TYPES: ReadonlySet<unknown> = new Set(eventFrame.options.map(({ shape }) => shape.type.value));

/** The last line of a complete stream. */
export const OVER: { readonly type: "over" } = { type: "over" };

/** Whether a line is {@link OVER}. */
export function isOver(line: unknown): boolean {
  return isObject(line) && line["type"] === OVER.type;
}

/** @throws Error that says what is wrong */
export function readTurnRequest(value: unknown): TurnRequest {
  return read(turnRequest, "a turn request", value);
}

/** The method may be one of a later release, see `isCallMethod`. @throws Error as {@link readTurnRequest} */
export function readCallRequest(value: unknown): Omit<CallRequest, "method"> & { readonly method: string } {
  return read(callRequest, "a call", value);
}

/** @throws Error as {@link readTurnRequest} */
export function readEventsRequest(value: unknown): EventsRequest {
  const { key: session, options } = read(eventsRequest, "an events request", value);
  const { types, ...rest } = pick(options, ["after", "types", "turn", "live"]);
  const known = types?.filter(isEventType);
  return { key: session, options: withoutUndefined({ ...rest, types: known }) };
}

/** Returns undefined for a frame type of a later release. @throws Error as {@link readTurnRequest} */
export function readTurnFrame(line: unknown): TurnFrame | undefined {
  return isUnknownType(line, FRAME_TYPES) ? undefined : read(turnFrame, "a frame", line);
}

/** @throws Error as {@link readTurnRequest} */
export function readCallAnswer(line: unknown): CallAnswer {
  return read(callAnswer, "an answer", line);
}

/** Returns undefined for a frame type of a later release. @throws Error as {@link readTurnRequest} */
export function readEventFrame(line: unknown): EventFrame | undefined {
  return isUnknownType(line, EVENT_FRAME_TYPES) ? undefined : read(eventFrame, "an event", line);
}

function isUnknownType(line: unknown, known: ReadonlySet<unknown>): boolean {
  return isObject(line) && typeof line["type"] === "string" && !known.has(line["type"]);
}

function read<Value>(schema: z.ZodType<Value>, what: string, value: unknown): Value {
  const { success, data, error } = schema.safeParse(value);
  if (success) return data;
  const problems = error.issues.map(({ path, message }) => `${path.join(".") || "the whole value"}: ${message}`);
  throw new Error(`${what} that does not parse: ${problems.join("; ")}`);
}

function isKey(text: string): boolean {
  try {
    const name: unknown = JSON.parse(text);
    return nameProblem(name) === undefined && JSON.stringify(name) === text;
  } catch {
    return false;
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

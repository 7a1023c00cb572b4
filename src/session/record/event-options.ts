import { z } from "zod";
import { validate } from "../options/validation.ts";
import type { EventOptions, EventPageOptions } from "./event-readers.ts";
import { liveEventTypes, recordedEventTypes } from "./event-schemas.ts";
import type { HistoryOptions } from "./history-entry.ts";
import type { SessionEvent } from "./session-event-types.ts";

const TYPES: readonly SessionEvent["type"][] = [...recordedEventTypes, ...liveEventTypes, "unknown"];

const schema = z.strictObject({
  after: z.int().min(0).exactOptional(),
  types: z.array(z.enum(TYPES)).exactOptional(),
  turn: z.string().exactOptional(),
  live: z.boolean().exactOptional(),
});

const pageSchema = z.strictObject({
  before: z.int().min(0).exactOptional(),
  types: z.array(z.enum([...recordedEventTypes, "unknown"] as const)).exactOptional(),
  turn: z.string().exactOptional(),
  limit: z.int().min(1).max(1_000).exactOptional(),
});

const historySchema = z.strictObject({
  before: z.int().min(0).optional(),
  limit: z.int().min(1).max(100).exactOptional(),
  thinking: z.boolean().exactOptional(),
});

/** Checks which page of a history to read. @throws CastellanError `INVALID_OPTIONS` */
export function checkHistoryOptions(options: HistoryOptions): HistoryOptions {
  return validate(historySchema, options, "history");
}

/** Checks which page of events to read. @throws CastellanError `INVALID_OPTIONS` */
export function checkEventPageOptions(options: EventPageOptions, what: string): EventPageOptions {
  return validate(pageSchema, options, what);
}

/** Whether this release has events of the type. */
export function isEventType(type: string): type is SessionEvent["type"] {
  return TYPES.some((known) => known === type);
}

/** Checks which events to read. @throws CastellanError `INVALID_OPTIONS` */
export function checkEventOptions(options: EventOptions, what: string): EventOptions {
  return validate(schema, options, what);
}

import { z } from "zod";
import { liveTypes, recordedEventSchema, recordedTypes } from "./event.ts";
import type { EventPage, EventPageQuery, EventStreamQuery, RecordedEvent, SessionEvent } from "./event-types.ts";

const number = z.coerce.number().int().min(0);

// The lists come from the schemas of the types.
const recordedType = z.enum(recordedTypes as readonly RecordedEvent["type"][]);
const eventType = z.enum([...recordedTypes, ...liveTypes] as readonly SessionEvent["type"][]);

export const eventPageQuerySchema: z.ZodType<EventPageQuery> = z
  .strictObject({
    before: number.optional().describe("Only events with a lower number, the highest first. Default: the last events."),
    after: number.optional().describe("Only events with a higher number, the lowest first. Not with `before`."),
    types: z.array(recordedType).readonly().optional().describe("Only events of these types. May be repeated."),
    turn: z.string().optional().describe("Only events of the turn with this id."),
    limit: z.coerce.number().int().min(1).max(1_000).optional().describe("At most this many. Default 100."),
  })
  .refine(({ before, after }) => before === undefined || after === undefined, {
    error: "cannot be used together with `after`",
    path: ["before"],
  });

export const eventPageSchema: z.ZodType<EventPage> = z
  .object({
    events: z.array(recordedEventSchema).readonly(),
    next: z
      .number()
      .nullable()
      .describe("What to pass as `before` or `after` for the next page; `null` after the last page."),
  })
  .meta({ id: "EventPage" });

export const eventStreamQuerySchema: z.ZodType<EventStreamQuery> = z.strictObject({
  after: number
    .optional()
    .describe("Only events after the one with this number; 0 for all. Default: events from now on."),
  types: z
    .array(eventType)
    .readonly()
    .optional()
    .describe("Only events of these types. Default: all recorded ones, `state`, `mcp_servers` and `pruned`."),
  turn: z.string().optional().describe("Only events of the turn with this id, until it ends."),
  deltas: z
    .enum(["true", "false"])
    .transform((text) => text === "true")
    .optional()
    .describe("Whether to include the deltas of texts, thoughts and tool inputs. Default `false`."),
});

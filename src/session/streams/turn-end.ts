import { z } from "zod";
import type { ShownPiece } from "../../claude/messages/shown.ts";
import { CastellanError, type ErrorDetails } from "../../errors.ts";
import type { JsonObject } from "../../journal/model/session-entry.ts";
import type { ModelSpending } from "../../journal/model/spending.ts";
import { readOutput } from "../options/output-schema.ts";
import { keptOf } from "./kept-shown.ts";
import type { Reply, TurnEnd } from "./reply.ts";

const outcomeSchema = z.union([
  z.object({ reply: z.custom<Reply>((value) => typeof value === "object" && value !== null) }),
  z.object({
    error: z.object({ code: z.string(), message: z.string(), details: z.record(z.string(), z.unknown()) }),
  }),
]);

/** Converts a turn's end to an outcome for the journal, with its output unless others keep that. */
export function outcomeOf(end: TurnEnd, shown?: readonly ShownPiece[]): JsonObject {
  const kept = shown === undefined ? {} : { shown: keptOf(shown, "reply" in end ? end.reply.text : undefined) };
  if ("error" in end) {
    const { code, message, details } = end.error;
    return jsonOf({ error: { code, message, details }, ...kept });
  }
  const { structured: _, usage, models, ...reply } = end.reply;
  // Copy it, because the caller may change the reply before a late write.
  const own = { ...reply, usage: { ...usage }, models: models.map(copyOf) };
  return { reply: end.output === undefined ? own : jsonOf({ ...own, structured: end.output }), ...kept };
}

function copyOf({ model, costUsd, usage }: ModelSpending): JsonObject {
  return { model, costUsd, usage: { ...usage } };
}

/** Reads a turn's end from its outcome; `reader` parses a structured answer. */
export function endOf(outcome: JsonObject | undefined, who: string, reader: z.ZodType | undefined): TurnEnd {
  const read = outcomeSchema.safeParse(outcome);
  if (!read.success) {
    const message = `${who}: the journal does not have the turn's outcome.`;
    const details = { reason: "damaged" as const };
    return { error: new CastellanError("JOURNAL_UNAVAILABLE", message, { details }) };
  }
  if ("error" in read.data) {
    const { code, message, details } = read.data.error;
    // An error with this code was written, so the details fit it.
    const known = { code: code as "TURN_CANCELLED", details: details as ErrorDetails["TURN_CANCELLED"] };
    return { error: new CastellanError(known.code, message, { details: known.details }) };
  }
  // Replies of earlier releases have no `models`.
  const { structured: output, ...reply } = { ...read.data.reply, models: read.data.reply.models ?? [] };
  if (output === undefined) return { reply, output };
  const again = readOutput(output, reader);
  return { reply: { ...reply, structured: "structured" in again ? again.structured : output }, output };
}

/** Converts a value to what JSON makes of it. */
export function jsonOf(value: object): JsonObject {
  return JSON.parse(JSON.stringify(value)) as JsonObject;
}

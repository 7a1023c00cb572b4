import { z } from "zod";
import type { JsonObject } from "../../journal/model/session-entry.ts";

/** The largest metadata, in bytes of JSON. */
const MOST_BYTES = 16 * 1024;

/** Parses the metadata of a turn to what JSON makes of it. */
export const metadataSchema: z.ZodType<JsonObject> = z.unknown().transform((value, context) => {
  const parsed = parse(value);
  if (typeof parsed !== "string") return parsed;
  context.addIssue({ code: "custom", message: parsed, input: value });
  return z.NEVER;
});

/** Returns the metadata, or what is wrong with it. */
function parse(value: unknown): JsonObject | string {
  let text: string | undefined;
  try {
    text = JSON.stringify(value);
  } catch (error) {
    return `cannot be written as JSON (${error instanceof Error ? error.message.split("\n", 1)[0] : String(error)})`;
  }
  if (text === undefined || !text.startsWith("{")) return "expected a JSON object";
  const size = Buffer.byteLength(text);
  if (size > MOST_BYTES) return `has ${size} bytes as JSON; at most ${MOST_BYTES} are allowed`;
  return JSON.parse(text) as JsonObject;
}

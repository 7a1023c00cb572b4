import { z } from "zod";
import type { JsonObject } from "../../journal/model/session-entry.ts";

/** The largest metadata of a turn, in bytes of JSON. */
const MOST_BYTES = 16 * 1024;

/** Parses an application's own data to what JSON makes of it. @param mostBytes its largest size, as JSON */
export function jsonObjectSchema(mostBytes: number): z.ZodType<JsonObject> {
  return z.unknown().transform((value, context) => {
    const parsed = parse(value, mostBytes);
    if (typeof parsed !== "string") return parsed;
    context.addIssue({ code: "custom", message: parsed, input: value });
    return z.NEVER;
  });
}

/** Parses the metadata of a turn. */
export const metadataSchema: z.ZodType<JsonObject> = jsonObjectSchema(MOST_BYTES);

/** Returns the metadata, or what is wrong with it. */
function parse(value: unknown, mostBytes: number): JsonObject | string {
  let text: string | undefined;
  try {
    text = JSON.stringify(value);
  } catch (error) {
    return `cannot be written as JSON (${error instanceof Error ? error.message.split("\n", 1)[0] : String(error)})`;
  }
  if (text === undefined || !text.startsWith("{")) return "expected a JSON object";
  const size = Buffer.byteLength(text);
  if (size > mostBytes) return `has ${size} bytes as JSON; at most ${mostBytes} are allowed`;
  return JSON.parse(text) as JsonObject;
}

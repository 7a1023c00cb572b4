import type { Json, JsonObject } from "../../journal/model/session-entry.ts";
import type { ContentReference, EventContent } from "../../session/record/content.ts";

/** Reads a content of a session. */
export type ReadContent = (reference: ContentReference) => Promise<EventContent | undefined>;

/** Takes the place of a content that is no longer kept. */
const MISSING = "[no longer kept]";

/** Returns the value with its contents in place of the references to them. */
export async function resolve<Value>(value: Value, read: ReadContent): Promise<Value> {
  // A reference stands where the type has a string or any JSON.
  return hasReference(value) ? ((await resolved(value, read)) as Value) : value;
}

async function resolved(value: unknown, read: ReadContent): Promise<unknown> {
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return await Promise.all(value.map((one) => resolved(one, read)));
  if (isReference(value)) return textOf(await read(value));
  const fields = Object.entries(value).map(async ([name, field]) => {
    const isData = name === "data" && "type" in value && value.type === "base64" && isReference(field);
    return [name, isData ? base64Of(await read(field)) : await resolved(field, read)] as const;
  });
  return Object.fromEntries(await Promise.all(fields));
}

function textOf(content: EventContent | undefined): Json {
  if (content === undefined) return MISSING;
  const text = Buffer.from(content.data).toString();
  return content.mediaType === "application/json" ? (JSON.parse(text) as Json) : text;
}

function base64Of(content: EventContent | undefined): string {
  return content === undefined ? "" : Buffer.from(content.data).toString("base64");
}

function isReference(value: unknown): value is ContentReference & JsonObject {
  return typeof value === "object" && value !== null && "$content" in value && typeof value.$content === "string";
}

function hasReference(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  return isReference(value) || Object.values(value).some(hasReference);
}

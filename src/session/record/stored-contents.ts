import type { Json } from "../../journal/model/session-entry.ts";
import type { ContentReference, EventContent } from "./content.ts";

/** Returns a content of an event, or undefined if it is no longer kept. @throws CastellanError `JOURNAL_UNAVAILABLE` */
export type ReadContent = (reference: ContentReference) => Promise<EventContent | undefined>;

/**
 * Returns a value of an event with contents in place of their references, as it was before `extractContents` took them out. Binary data
 * is base64 again. A reference to a content that is no longer kept stays.
 *
 * @throws CastellanError as `read`
 */
export async function withContents(value: Json, read: ReadContent): Promise<Json> {
  if (typeof value !== "object" || value === null) return value;
  if (isContentReference(value)) {
    const content = await read(value);
    return content === undefined ? value : await valueIn(content, read);
  }
  if (Array.isArray(value)) {
    const items: Json[] = [];
    for (const item of value) items.push(await withContents(item, read));
    return items;
  }
  const fields: [string, Json][] = [];
  for (const [name, field] of Object.entries(value)) fields.push([name, await withContents(field, read)]);
  return Object.fromEntries(fields);
}

/** A content of JSON may name contents that were taken out before it. */
async function valueIn({ mediaType, data }: EventContent, read: ReadContent): Promise<Json> {
  const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  if (mediaType === "text/plain") return bytes.toString();
  if (mediaType !== "application/json") return bytes.toString("base64");
  return await withContents(JSON.parse(bytes.toString()) as Json, read);
}

export function isContentReference(value: unknown): value is ContentReference & { readonly [name: string]: Json } {
  if (typeof value !== "object" || value === null) return false;
  const { $content, size, mediaType }: Partial<Record<string, unknown>> = { ...value };
  return typeof $content === "string" && typeof size === "number" && typeof mediaType === "string";
}

import type { Json, JsonObject } from "../../journal/model/session-entry.ts";
import type { EventJson, EventText, RecordedEventFields } from "../../session/record/session-event-types.ts";

/* The content of events. Large parts are still references to contents of the record, which contents.ts replaces. */

/** Returns the content of a message. */
export function promptContent({ prompt, blocks }: RecordedEventFields["turn_accepted"]): EventJson {
  if (blocks !== undefined) return Array.isArray(blocks) ? blocks.map(promptBlock) : blocks;
  return prompt === undefined ? [] : textContent(prompt);
}

/** Returns content that is one text. */
export function textContent(text: EventText): EventJson {
  return [{ type: "text", text: jsonOf(text) }];
}

/** Returns the content of a tool's result. */
export function resultContent(output: EventJson): EventJson {
  if (typeof output === "string") return output === "" ? [] : [{ type: "text", text: output }];
  if (isObject(output) && "$content" in output) return [{ type: "text", text: output }];
  return Array.isArray(output) ? output.map(resultBlock) : [textOfValue(output)];
}

/** Documents of texts and images are Castellan's own; the wire has only texts. */
function promptBlock(block: Json): Json {
  if (!isObject(block) || !isObject(block["source"]) || block["source"]["type"] !== "content")
    return withoutCitations(block);
  const { content } = block["source"];
  const data = Array.isArray(content) ? content.map((part) => textIn(part)).join("\n") : (content ?? "");
  return { ...omitCitations(block), source: { type: "text", media_type: "text/plain", data } };
}

function withoutCitations(block: Json): Json {
  return isObject(block) ? omitCitations(block) : block;
}

function omitCitations({ citations: _, ...block }: JsonObject): JsonObject {
  return block;
}

function textIn(part: Json): string {
  return isObject(part) && typeof part["text"] === "string" ? part["text"] : "";
}

const RESULT_TYPES: ReadonlySet<Json | undefined> = new Set(["text", "image", "document", "search_result"]);

function resultBlock(block: Json): Json {
  return isObject(block) && RESULT_TYPES.has(block["type"]) ? block : textOfValue(block);
}

/** Returns a block that the wire has no type for, as text. */
function textOfValue(value: Json): Json {
  return { type: "text", text: typeof value === "string" ? value : JSON.stringify(value) };
}

function jsonOf(text: EventText): Json {
  return typeof text === "string" ? text : { ...text };
}

function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

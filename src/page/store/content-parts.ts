import type { ContentReference } from "../../wire/event-types.ts";
import type { Json } from "../../wire/json.ts";

/** What a prompt or the result of a tool consists of. */
export type ContentPart =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "image"; readonly type: ImageType; readonly content: ContentReference }
  | { readonly kind: "stored"; readonly content: ContentReference }
  | { readonly kind: "json"; readonly text: string };

/** The images that are shown: browsers run nothing in them. */
const IMAGES = ["image/png", "image/jpeg", "image/gif", "image/webp"] as const;

/** The media type of an image that is shown. */
export type ImageType = (typeof IMAGES)[number];

/** Whether a value is stored apart from its event. The input of a tool is whatever Claude makes of it, and may look like it. */
export function isStored(value: Json | undefined): value is ContentReference & { readonly [name: string]: Json } {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  const { $content, size, mediaType } = value as { readonly [name: string]: Json };
  return typeof $content === "string" && typeof size === "number" && typeof mediaType === "string";
}

/** Returns the parts of a value: a text, blocks as in the Messages API, or any JSON. */
export function contentParts(value: Json): readonly ContentPart[] {
  if (Array.isArray(value) && value.length > 0 && value.every(isBlock)) return value.flatMap(contentParts);
  if (typeof value === "string") return value === "" ? [] : [{ kind: "text", text: value }];
  if (isStored(value)) return [{ kind: "stored", content: value }];
  if (isBlock(value)) return [blockPart(value)];
  return [{ kind: "json", text: JSON.stringify(value, null, 2) }];
}

type Block = { readonly [name: string]: Json } & { readonly type: string };

function isBlock(value: Json): value is Block {
  if (typeof value !== "object" || value === null) return false;
  const { type } = value as { readonly type?: Json };
  return typeof type === "string";
}

function blockPart(block: Block): ContentPart {
  const { type, text, source } = block as Block & { readonly text?: Json; readonly source?: Json };
  if (type === "text" && typeof text === "string") return { kind: "text", text };
  if (type === "text" && isStored(text)) return { kind: "stored", content: text };
  if (type === "image" && typeof source === "object" && source !== null && "data" in source) {
    const { data, media_type: mediaType } = source as { readonly data: Json; readonly media_type?: Json };
    const known = IMAGES.find((one) => one === mediaType);
    if (known !== undefined && isStored(data)) return { kind: "image", type: known, content: data };
    if (isStored(data)) return { kind: "stored", content: data };
  }
  return { kind: "json", text: JSON.stringify(block, null, 2) };
}

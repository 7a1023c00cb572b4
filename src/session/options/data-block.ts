import { isUtf8 } from "node:buffer";
import type { DocumentBlock, ImageBlock } from "./prompt-block.ts";
import { mediaTypeOf } from "./prompt-blocks.ts";

/** Returns an image, a PDF or a text in UTF-8 as a content block; undefined for other data. */
export function dataBlock(data: Buffer, title: string | undefined): ImageBlock | DocumentBlock | undefined {
  const mediaType = mediaTypeOf(data);
  const named = title === undefined ? {} : { title };
  if (mediaType === "application/pdf") {
    const source = { type: "base64", media_type: mediaType, data: data.toString("base64") } as const;
    return { type: "document", source, ...named };
  }
  if (mediaType !== undefined) {
    return { type: "image", source: { type: "base64", media_type: mediaType, data: data.toString("base64") } };
  }
  if (!isUtf8(data) || data.includes(0)) return undefined;
  return {
    type: "document",
    source: { type: "text", media_type: "text/plain", data: data.toString("utf8") },
    ...named,
  };
}

/** What {@link dataBlock} accepts, for messages. */
export const DATA_FORMS = "JPEG, PNG, GIF, WebP, PDF or text in UTF-8";

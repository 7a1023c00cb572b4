import { z } from "zod";
import { DATA_FORMS, dataBlock } from "../options/data-block.ts";
import type { Prompt } from "../options/prompt.ts";
import type { DocumentBlock, ImageBlock, PromptBlock } from "../options/prompt-block.ts";
import { invalidOptions, validate } from "../options/validation.ts";

const schema = z.looseObject({ parts: z.array(z.looseObject({ type: z.string() })) });
const textPart = z.looseObject({ text: z.string() });
const filePart = z.looseObject({ mediaType: z.string(), url: z.string(), filename: z.string().optional() });
type FilePart = z.infer<typeof filePart>;

/**
 * Returns the text and the files of a message of the Vercel AI SDK's `useChat` as a prompt. Files are images, PDFs and
 * texts, in data URLs or, except texts, behind `https:` URLs, which the Messages API reads. Ignores parts of other types.
 *
 * @throws CastellanError `INVALID_OPTIONS` if it is not a message, or has another file; the error names the part
 * @example
 * const { messages } = await request.json();
 * return stream("assistant", uiMessagePrompt(messages.at(-1))).toUIMessageStreamResponse();
 */
export function uiMessagePrompt(message: { readonly parts: readonly { readonly type: string }[] }): Prompt {
  const { parts } = validate(schema, message, WHAT);
  const blocks = parts.flatMap((part, index): PromptBlock[] => {
    const at = `parts.${index}`;
    if (part.type === "file") return [blockOf(validate(filePart, part, WHAT, at), at)];
    if (part.type !== "text") return [];
    const { text } = validate(textPart, part, WHAT, at);
    return text.trim() === "" ? [] : [{ type: "text", text }];
  });
  const [only, ...others] = blocks;
  if (others.length > 0) return blocks;
  return only === undefined ? "" : only.type === "text" ? only.text : blocks;
}

const WHAT = "UI message";

function blockOf({ mediaType, url, filename }: FilePart, at: string): ImageBlock | DocumentBlock {
  const title = filename === undefined || filename.trim() === "" ? undefined : filename;
  if (/^data:/i.test(url)) {
    const data = dataOf(url);
    const block = data === undefined ? undefined : dataBlock(data, title);
    if (block !== undefined) return block;
    throw invalidOptions(WHAT, [{ field: `${at}.url`, message: `expected ${DATA_FORMS} in the data URL` }]);
  }
  if (!/^https:\/\//i.test(url)) {
    throw invalidOptions(WHAT, [{ field: `${at}.url`, message: "expected a data URL, or one with `https:`" }]);
  }
  const source = { type: "url", url } as const;
  if (/^image(\/|$)/.test(mediaType)) return { type: "image", source };
  if (mediaType === "application/pdf") return { type: "document", source, ...(title !== undefined && { title }) };
  const message = "expected an image or `application/pdf`; the Messages API reads nothing else by URL";
  throw invalidOptions(WHAT, [{ field: `${at}.mediaType`, message }]);
}

/** Returns the data of a data URL; undefined if it has none. The media type is that of the data. */
function dataOf(url: string): Buffer | undefined {
  const comma = url.indexOf(",");
  if (comma === -1 || comma === url.length - 1) return undefined;
  const data = url.slice(comma + 1);
  if (/;\s*base64\s*$/i.test(url.slice(0, comma))) return Buffer.from(data, "base64");
  try {
    return Buffer.from(decodeURIComponent(data));
  } catch {
    return undefined;
  }
}

import type { OptionProblem } from "../../errors.ts";
import type { DocumentBlock, ImageBlock, PromptBlock } from "./prompt-block.ts";
import { fieldOf, parseBlocks } from "./prompt-block-schema.ts";

/*
 * The limits of the Messages API, from its documentation: https://platform.claude.com/docs/en/api/overview (a request has
 * up to 32 MB), https://platform.claude.com/docs/en/build-with-claude/vision (media types, images per request, bytes per
 * image) and https://platform.claude.com/docs/en/build-with-claude/pdf-support. Claude Code shrinks images to these
 * limits, except those inside documents. The API itself checks what depends on the model: pages, pixels, tokens.
 */

/** The most characters of a prompt: a request also contains the conversation so far. */
export const LONGEST_PROMPT = 20_000_000;

/** The most blocks of a prompt, including those inside documents. */
const MOST_BLOCKS = 1_000;

/** The most images of a prompt. Models with a context of 200,000 tokens accept 100. */
const MOST_IMAGES = 600;

/** The most bytes of an image inside a document. */
const MOST_IMAGE_BYTES = 5 * 1024 ** 2;

/** The blocks that have been checked. They are frozen, so they stay valid. */
const CHECKED = new WeakSet<object>();

/** Returns a frozen copy of the blocks, or what is wrong with them. */
export function checkBlocks(
  given: readonly unknown[],
): { readonly blocks: readonly PromptBlock[] } | { readonly problems: readonly OptionProblem[] } {
  if (CHECKED.has(given)) return { blocks: given as readonly PromptBlock[] };
  if (given.length === 0) return problem([], "is empty");
  if (given.length > MOST_BLOCKS) return problem([], `has ${given.length} blocks; at most ${MOST_BLOCKS} are allowed`);
  const parsed = parseBlocks(given);
  if ("problems" in parsed) return parsed;
  const { blocks } = parsed;
  const parts = blocks.flatMap((block, index) => partsOf(block, [index]));
  const over = excessOf(parts) ?? parts.flatMap((part) => dataProblem(part) ?? [])[0];
  if (over !== undefined) return over;
  freeze(blocks);
  CHECKED.add(blocks);
  return { blocks };
}

/** Returns the texts of the blocks outside documents, one per line. */
export function textOf(blocks: readonly PromptBlock[]): string {
  return blocks.flatMap((block) => (block.type === "text" ? [block.text] : [])).join("\n");
}

/** Returns the number of characters of the blocks, including base64. */
export function charactersIn(blocks: readonly PromptBlock[]): number {
  return blocks.flatMap((block) => partsOf(block, [])).reduce((sum, { block }) => sum + charactersOf(block), 0);
}

/** A block or a block inside a document, and its path in the prompt. */
interface Part {
  readonly block: PromptBlock;
  readonly path: readonly PropertyKey[];
}

function partsOf(block: PromptBlock, path: readonly PropertyKey[]): Part[] {
  const { source } = { source: undefined, ...block };
  const inner = source?.type === "content" && typeof source.content !== "string" ? source.content : [];
  return [{ block, path }, ...inner.map((one, index) => ({ block: one, path: [...path, "source", "content", index] }))];
}

function excessOf(parts: readonly Part[]): ReturnType<typeof problem> | undefined {
  if (parts.length > MOST_BLOCKS) {
    return problem([], `has ${parts.length} blocks; at most ${MOST_BLOCKS} are allowed`);
  }
  const images = parts.filter(({ block }) => block.type === "image").length;
  if (images > MOST_IMAGES) return problem([], `has ${images} images; at most ${MOST_IMAGES} are allowed`);
  let characters = 0;
  for (const { block, path } of parts) {
    const own = charactersOf(block);
    characters += own;
    if (characters <= LONGEST_PROMPT) continue;
    return own > LONGEST_PROMPT
      ? problem(path, `has ${own} characters; a prompt may have at most ${LONGEST_PROMPT}`)
      : problem([], `has more than ${LONGEST_PROMPT} characters, which are allowed, with block ${fieldOf(path)}`);
  }
  return undefined;
}

function charactersOf(block: PromptBlock): number {
  if (block.type === "text") return block.text.length;
  const described = block.type === "document" ? (block.title?.length ?? 0) + (block.context?.length ?? 0) : 0;
  return described + sourceCharacters(block.source);
}

function sourceCharacters(source: ImageBlock["source"] | DocumentBlock["source"]): number {
  switch (source.type) {
    case "base64":
    case "text":
      return source.data.length;
    case "content":
      // Inner blocks count by themselves.
      return typeof source.content === "string" ? source.content.length : 0;
    case "url":
      return source.url.length;
    case "file":
      return source.file_id.length;
  }
}

/** Returns what is wrong with the data of a block. */
function dataProblem({ block, path }: Part): ReturnType<typeof problem> | undefined {
  if (block.type === "text" || block.source.type !== "base64") return undefined;
  const { data, media_type: mediaType } = block.source;
  const at = [...path, "source", "data"];
  const bytes = Buffer.from(data, "base64");
  if (bytes.length === 0) return problem(at, "is empty");
  if (bytes.toString("base64") !== data) return problem(at, "is not base64, or has no padding, or has line breaks");
  const found = mediaTypeOf(bytes);
  if (found !== mediaType) {
    const words = found === undefined ? `is not of the type \`${mediaType}\`` : `is \`${found}\``;
    return problem(at, `${words}, but \`media_type\` is \`${mediaType}\``);
  }
  // Claude Code does not shrink it.
  if (path.length > 1 && bytes.length > MOST_IMAGE_BYTES) {
    return problem(at, `has ${bytes.length} bytes; an image inside a document may have ${MOST_IMAGE_BYTES}`);
  }
  return undefined;
}

/** Returns the media type of bytes that the Messages API accepts as base64, or undefined. */
export function mediaTypeOf(
  bytes: Uint8Array,
): "application/pdf" | "image/jpeg" | "image/png" | "image/gif" | "image/webp" | undefined {
  const head = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.byteLength, PDF_HEADER_WITHIN)).toString(
    "latin1",
  );
  if (head.startsWith("\x89PNG\r\n\x1a\n")) return "image/png";
  if (head.startsWith("\xff\xd8\xff")) return "image/jpeg";
  if (/^GIF8[79]a/.test(head)) return "image/gif";
  if (/^RIFF.{4}WEBP/s.test(head)) return "image/webp";
  return head.includes("%PDF-") ? "application/pdf" : undefined;
}

/** Readers accept the header of a PDF within this many bytes. */
const PDF_HEADER_WITHIN = 1_024;

function problem(path: readonly PropertyKey[], message: string): { readonly problems: readonly OptionProblem[] } {
  return { problems: [{ field: fieldOf(path), message }] };
}

function freeze(value: unknown): void {
  if (typeof value !== "object" || value === null) return;
  for (const field of Object.values(value)) freeze(field);
  Object.freeze(value);
}

import { constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { basename } from "node:path";
import { DATA_FORMS, dataBlock } from "./data-block.ts";
import type { DocumentBlock, ImageBlock } from "./prompt-block.ts";
import { LONGEST_PROMPT } from "./prompt-blocks.ts";
import { invalidOptions } from "./validation.ts";

/** The most bytes of a file: a prompt has at most this many characters in base64. */
const MOST_BYTES = (LONGEST_PROMPT / 4) * 3;

/**
 * Reads a file of this machine into a content block: an image (JPEG, PNG, GIF, WebP), a PDF, or a text in UTF-8, by its
 * content. Images and PDFs may have almost 15 MB. The block has what the file contains now. Do not pass paths from users.
 *
 * @param title what the model is told as the title of a document. Default: the name of the file
 * @throws CastellanError `INVALID_OPTIONS` if the file is missing, unreadable, empty, too large or of another type
 * @example
 * await query("reviewer", [await fileBlock("contract.pdf"), { type: "text", text: "Which terms are unusual?" }]);
 */
export async function fileBlock(
  path: string,
  { title }: { readonly title?: string } = {},
): Promise<ImageBlock | DocumentBlock> {
  const data = await read(path);
  if (data.toString("latin1").trim() === "") throw unreadable(path, "is empty");
  const block = dataBlock(data, title ?? basename(path));
  if (block === undefined) throw unreadable(path, `is not ${DATA_FORMS}`);
  return block;
}

async function read(path: string): Promise<Buffer> {
  let file: FileHandle | undefined;
  try {
    // A pipe would otherwise wait for a writer.
    file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const found = await file.stat();
    if (!found.isFile()) throw unreadable(path, "is not a file");
    if (found.size > MOST_BYTES) throw unreadable(path, `has ${found.size} bytes; at most ${MOST_BYTES} are allowed`);
    // The file may grow while it is read.
    const buffer = Buffer.alloc(found.size);
    let length = 0;
    while (length < buffer.length) {
      const { bytesRead } = await file.read(buffer, length);
      if (bytesRead === 0) break;
      length += bytesRead;
    }
    return buffer.subarray(0, length);
  } catch (error) {
    if (!(error instanceof Error) || !("code" in error) || error.code === "INVALID_OPTIONS") throw error;
    throw unreadable(path, `cannot be read (${String(error.code)})`, error);
  } finally {
    await file?.close();
  }
}

function unreadable(path: string, problem: string, cause?: unknown): Error {
  return invalidOptions("file block", [{ field: "path", message: `${JSON.stringify(path)} ${problem}` }], cause);
}

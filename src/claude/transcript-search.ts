import { type FileHandle, open } from "node:fs/promises";

/** How much of a transcript to read at a time. The wanted message is usually in the last piece. */
const PIECE = 256 * 1_024;

/**
 * Whether a transcript, a file of JSON lines, has a message with one of these ids.
 *
 * @throws Error of the file system
 */
export async function transcriptHas(file: string, uuids: readonly string[]): Promise<boolean> {
  return (await positionOf(file, uuids)) !== undefined;
}

/**
 * Returns the last position of one of these ids in a transcript, in bytes; undefined if it has none of them.
 *
 * @throws Error of the file system
 */
export async function positionOf(file: string, uuids: readonly string[]): Promise<number | undefined> {
  // The form in which Claude Code writes it. In a text the quotes would be escaped, and a parent's id has a different
  // key.
  const wanted = uuids.map((uuid) => Buffer.from(`"uuid":${JSON.stringify(uuid)}`));
  const overlap = Math.max(0, ...wanted.map(({ length }) => length));
  const handle = await open(file);
  try {
    for (let end = (await handle.stat()).size; end > 0; end -= PIECE) {
      const from = Math.max(0, end - PIECE);
      const piece = await read(handle, from, end + overlap);
      const at = Math.max(-1, ...wanted.map((id) => piece.lastIndexOf(id)));
      if (at >= 0) return from + at;
    }
    return undefined;
  } finally {
    await handle.close();
  }
}

async function read(handle: FileHandle, from: number, to: number): Promise<Buffer> {
  const { buffer, bytesRead } = await handle.read(Buffer.allocUnsafe(to - from), 0, to - from, from);
  return buffer.subarray(0, bytesRead);
}

import { type FileHandle, open } from "node:fs/promises";

/** An entry of a transcript; empty for an incomplete line that a killed process left. */
export type TranscriptEntry = Readonly<Record<string, unknown>>;

const FIRST_PIECE = 64 * 1_024;

/**
 * Reads the entries of a transcript from the last one backwards until `look` returns a result. Reads the file in pieces
 * from its end, each with its own `look`.
 *
 * @param start makes a `look`, which receives each entry and its offset in bytes
 * @param farthest how far back from its end to read the file, in bytes
 * @returns the result of `look`, or `undefined`
 * @throws Error of the file system
 */
export async function lookBack<Found>(
  file: string,
  start: () => (entry: TranscriptEntry, at: number) => Found | undefined,
  farthest: number = Number.POSITIVE_INFINITY,
): Promise<Found | undefined> {
  const handle = await open(file);
  try {
    const { size } = await handle.stat();
    for (let length = FIRST_PIECE; ; length *= 4) {
      const from = Math.max(0, size - length);
      const found = lookAt(await read(handle, from, size), from, start());
      if (found !== undefined || from === 0 || length >= farthest) return found;
    }
  } finally {
    await handle.close();
  }
}

function lookAt<Found>(
  piece: Buffer,
  from: number,
  look: (entry: TranscriptEntry, at: number) => Found | undefined,
): Found | undefined {
  for (let end = piece.length; end > 0; ) {
    const start = end < 2 ? 0 : piece.lastIndexOf("\n", end - 2) + 1;
    // The first line may begin before the piece.
    if (start === 0 && from > 0) return undefined;
    const found = look(parsed(piece.toString("utf8", start, end)), from + start);
    if (found !== undefined) return found;
    end = start;
  }
  return undefined;
}

function parsed(line: string): TranscriptEntry {
  try {
    const entry: unknown = JSON.parse(line);
    return typeof entry === "object" && entry !== null ? (entry as TranscriptEntry) : {};
  } catch {
    return {};
  }
}

async function read(handle: FileHandle, from: number, to: number): Promise<Buffer> {
  const { buffer, bytesRead } = await handle.read(Buffer.allocUnsafe(to - from), 0, to - from, from);
  return buffer.subarray(0, bytesRead);
}

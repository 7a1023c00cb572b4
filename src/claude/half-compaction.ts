import { type FileHandle, open, truncate } from "node:fs/promises";

/** How far back from its end a transcript is looked at; what Claude Code writes between the two is far less. */
const FARTHEST = 8 * 1_024 * 1_024;
const FIRST_PIECE = 64 * 1_024;

/**
 * Where a compaction begins in a transcript, in bytes, that Claude Code had begun to write when it died: it writes a boundary first, at
 * which a resume leaves out what was said before, and then the summary that stands for that. `undefined` if there is none.
 *
 * @throws Error of the file system
 */
export async function halfCompactionAt(file: string): Promise<number | undefined> {
  const handle = await open(file);
  try {
    const { size } = await handle.stat();
    for (let length = FIRST_PIECE; ; length *= 4) {
      const from = Math.max(0, size - length);
      const found = boundaryIn(await read(handle, from, size), from);
      if (found !== "unknown") return found;
      if (from === 0 || length >= FARTHEST) return undefined;
    }
  } finally {
    await handle.close();
  }
}

/** Takes a compaction out of a transcript that was written by half. Nobody may write it meanwhile. @throws Error of the file system */
export async function removeHalfCompaction(file: string): Promise<void> {
  const at = await halfCompactionAt(file);
  if (at !== undefined) await truncate(file, at);
}

/** Looks from the end for a boundary before there is an answer or a summary. */
function boundaryIn(piece: Buffer, from: number): number | undefined | "unknown" {
  for (let end = piece.length; end > 0; ) {
    const start = end < 2 ? 0 : piece.lastIndexOf("\n", end - 2) + 1;
    const entry = parsed(piece.toString("utf8", start, end));
    // The first line may begin before the piece.
    if (start === 0 && from > 0) return "unknown";
    if (entry["type"] === "assistant" || entry["isCompactSummary"] === true) return undefined;
    if (entry["type"] === "system" && entry["subtype"] === "compact_boundary") return from + start;
    end = start;
  }
  return from === 0 ? undefined : "unknown";
}

/** A process that was killed may have left half a line. */
function parsed(line: string): Readonly<Record<string, unknown>> {
  try {
    const entry: unknown = JSON.parse(line);
    return typeof entry === "object" && entry !== null ? (entry as Readonly<Record<string, unknown>>) : {};
  } catch {
    return {};
  }
}

async function read(handle: FileHandle, from: number, to: number): Promise<Buffer> {
  const { buffer, bytesRead } = await handle.read(Buffer.allocUnsafe(to - from), 0, to - from, from);
  return buffer.subarray(0, bytesRead);
}

import { mkdir, open, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import type { SessionStoreEntry } from "@anthropic-ai/claude-agent-sdk";
import { withWholeCompactions } from "./half-compaction.ts";
import { DESCRIPTION_TYPE, descriptionFile, transcriptFile } from "./transcript-files.ts";

/** A stored transcript, as lines. */
export interface StoredLines {
  /** Identifies the subagent. Left out for the conversation's own. */
  readonly subpath?: string;
  readonly lines: AsyncIterable<string>;
}

/**
 * Writes a transcript where a process finds it, in place of an older one. No process may use the conversation
 * meanwhile.
 *
 * @param main the file of the conversation's own transcript
 * @throws Error of the file system, or of `lines`; the file is then unchanged
 */
export async function restoreTranscript(main: string, { subpath, lines }: StoredLines): Promise<void> {
  if (subpath !== undefined) return await restoreSubagent(main, subpath, lines);
  await writeWhole(main, withoutHalfCompactions(lines));
}

/** A subagent's description is one of the stored entries, and has a file of its own. */
async function restoreSubagent(main: string, subpath: string, lines: AsyncIterable<string>): Promise<void> {
  // From a database, which another program may have written.
  if (subpath.split(/[\\/]/).includes("..")) return;
  let description: object | undefined;
  const entries = async function* (): AsyncGenerator<string, void, undefined> {
    for await (const part of lines) {
      for (const line of part.split("\n")) {
        if (line === "") continue;
        const { type, ...fields } = JSON.parse(line) as SessionStoreEntry;
        if (type === DESCRIPTION_TYPE) description = fields;
        else yield `${line}\n`;
      }
    }
  };
  await writeWhole(transcriptFile(main, subpath), entries());
  const described = description;
  if (described === undefined) return;
  await writeWhole(
    descriptionFile(main, subpath),
    (async function* () {
      yield JSON.stringify(described);
    })(),
  );
}

/** Nothing is removed from a journal, so what was written after a half-written compaction may follow it. */
async function* withoutHalfCompactions(lines: AsyncIterable<string>): AsyncGenerator<string, void, undefined> {
  const parts: string[] = [];
  let hasBoundary = false;
  for await (const part of lines) {
    hasBoundary ||= part.includes('"compact_boundary"');
    if (hasBoundary) parts.push(part);
    else {
      // Without a boundary among them, they need not be read.
      yield part;
    }
  }
  if (!hasBoundary) return;
  const entries = parts.flatMap((part) => part.split("\n").flatMap((line) => (line === "" ? [] : [asEntry(line)])));
  for (const entry of withWholeCompactions(entries)) yield `${JSON.stringify(entry)}\n`;
}

function asEntry(line: string): SessionStoreEntry {
  return JSON.parse(line) as SessionStoreEntry;
}

/** Writes a file atomically, readable by the owner only, as Claude Code creates its own. */
async function writeWhole(path: string, parts: AsyncIterable<string>): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const part = `${path}.part`;
  try {
    const file = await open(part, "w", 0o600);
    try {
      for await (const text of parts) await file.write(text);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(part, path);
  } catch (error) {
    await rm(part, { force: true });
    throw error;
  }
}

import type { ContentEntry } from "../model/event-entry.ts";

/** The contents of all events and turns in memory. Each is kept as long as something refers to it. */
export class MemoryContents {
  readonly #contents = new Map<string, ContentEntry>();
  /** How many events and turns of each session refer to a content, by hash. */
  readonly #references = new Map<string, Map<string, number>>();

  /** Adds a session's reference to each of these hashes, and stores the contents. */
  add(session: string, hashes: readonly string[], contents: readonly ContentEntry[]): void {
    for (const hash of hashes) {
      const counts = this.#references.get(hash) ?? new Map<string, number>();
      this.#references.set(hash, counts.set(session, (counts.get(session) ?? 0) + 1));
    }
    for (const content of contents) {
      if (!this.#contents.has(content.hash)) this.#contents.set(content.hash, copyOf(content));
    }
  }

  /** Removes a session's reference to each of these hashes, and the contents without another one. */
  release(session: string, hashes: readonly string[]): void {
    for (const hash of hashes) {
      const counts = this.#references.get(hash);
      const left = (counts?.get(session) ?? 0) - 1;
      if (left > 0) counts?.set(session, left);
      else counts?.delete(session);
      if (counts !== undefined && counts.size > 0) continue;
      this.#references.delete(hash);
      this.#contents.delete(hash);
    }
  }

  /** Returns a content; with `session`, only if something of that session refers to it. */
  find(hash: string, session?: string): ContentEntry | undefined {
    if (session !== undefined && this.#references.get(hash)?.has(session) !== true) return undefined;
    const content = this.#contents.get(hash);
    return content && copyOf(content);
  }
}

function copyOf(content: ContentEntry): ContentEntry {
  return { ...content, data: new Uint8Array(content.data) };
}

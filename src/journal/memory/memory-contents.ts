import type { ContentEntry } from "../model/event-entry.ts";

/** The contents of all events and turns in memory. Each is kept as long as something refers to it. */
export class MemoryContents {
  readonly #contents = new Map<string, ContentEntry>();
  /** How many events and turns refer to a content. */
  readonly #references = new Map<string, number>();

  /** Adds a reference to each of these hashes, and stores the contents. */
  add(hashes: readonly string[], contents: readonly ContentEntry[]): void {
    for (const hash of hashes) this.#references.set(hash, (this.#references.get(hash) ?? 0) + 1);
    for (const content of contents) {
      if (!this.#contents.has(content.hash)) this.#contents.set(content.hash, copyOf(content));
    }
  }

  /** Removes a reference to each of these hashes, and the contents without another one. */
  release(hashes: readonly string[]): void {
    for (const hash of hashes) {
      const left = (this.#references.get(hash) ?? 0) - 1;
      if (left > 0) this.#references.set(hash, left);
      else {
        this.#references.delete(hash);
        this.#contents.delete(hash);
      }
    }
  }

  find(hash: string): ContentEntry | undefined {
    const content = this.#contents.get(hash);
    return content && copyOf(content);
  }
}

function copyOf(content: ContentEntry): ContentEntry {
  return { ...content, data: new Uint8Array(content.data) };
}

import type { TranscriptHead, TranscriptKey, TranscriptPart, TranscriptStore } from "../model/transcript-entry.ts";

interface StoredTranscript {
  head: TranscriptHead;
  readonly parts: string[];
}

/** The transcripts of all conversations in memory. */
export class MemoryTranscripts implements TranscriptStore {
  readonly #transcripts = new Map<string, StoredTranscript>();
  readonly #refuseIfClosed: () => void;

  constructor(refuseIfClosed: () => void) {
    this.#refuseIfClosed = refuseIfClosed;
  }

  append({ lines, ...part }: TranscriptPart): void {
    const id = idOf(part);
    const before = this.#transcripts.get(id);
    this.#transcripts.set(id, {
      head: { ...before?.head, ...part },
      parts: before?.parts ?? [],
    });
    this.#transcripts.get(id)?.parts.push(lines);
  }

  /** Deletes the transcripts that belong to a session, or those of one of its conversations. */
  forget(session: string, conversationId?: string): void {
    for (const [id, { head }] of this.#transcripts) {
      const isOfConversation = conversationId === undefined || head.conversationId === conversationId;
      if (head.session === session && isOfConversation) this.#transcripts.delete(id);
    }
  }

  async of(conversationId: string): Promise<TranscriptHead[]> {
    return this.#heads((head) => head.conversationId === conversationId);
  }

  async writtenBy(session: string): Promise<TranscriptHead[]> {
    return this.#heads((head) => head.session === session);
  }

  async *lines(key: TranscriptKey): AsyncGenerator<string, void, undefined> {
    this.#refuseIfClosed();
    yield* this.#transcripts.get(idOf(key))?.parts ?? [];
  }

  #heads(isWanted: (head: TranscriptHead) => boolean): TranscriptHead[] {
    this.#refuseIfClosed();
    const heads = [...this.#transcripts.values()].map(({ head }) => head).filter(isWanted);
    return heads.toSorted((one, other) => ((one.subpath ?? "") < (other.subpath ?? "") ? -1 : 1));
  }
}

function idOf({ conversationId, subpath = "" }: TranscriptKey): string {
  return JSON.stringify([conversationId, subpath]);
}

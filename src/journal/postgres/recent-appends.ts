import type { SessionKey } from "@anthropic-ai/claude-agent-sdk";
import type { Clock } from "../../clock.ts";
import { RecentWrites } from "../model/recent-writes.ts";
import { type Appended, sessionHash, type TranscriptState, transcriptHash } from "./postgres-transcripts.ts";

/** Entries that the database has confirmed, and their position in the transcript. */
export interface RecentAppend {
  /** The stored key. */
  readonly key: SessionKey;
  readonly start: number;
  readonly appended: Appended;
}

/** The last known state of a transcript. */
export interface KnownTranscript {
  readonly key: SessionKey;
  readonly state: TranscriptState;
}

/** Maximum number of transcripts to remember. */
const MOST_TRANSCRIPTS = 10_000;

/** The last appends to transcripts, and the resulting states. */
export class RecentAppends {
  readonly #appends: RecentWrites<RecentAppend>;
  /** By hash, least recently used first. */
  readonly #known = new Map<string, KnownTranscript>();

  constructor(clock: Pick<Clock, "monotonic">) {
    this.#appends = new RecentWrites(clock);
  }

  /** Returns the known state of the transcript. */
  find(key: SessionKey): KnownTranscript | undefined {
    return this.#known.get(hashOf(key));
  }

  /** Records an append and the resulting state. */
  add(known: KnownTranscript, appended: Appended): void {
    const { key, state } = known;
    this.learn(known);
    const start = state.length - appended.entries.length;
    // The entries themselves are in memory, too.
    this.#appends.add({ key, start, appended }, 2 * appended.json.length);
  }

  /** Records the state of a transcript. */
  learn(known: KnownTranscript): void {
    const hash = hashOf(known.key);
    this.#known.delete(hash);
    this.#known.set(hash, known);
    if (this.#known.size <= MOST_TRANSCRIPTS) return;
    const [oldest] = this.#known.keys();
    if (oldest !== undefined) this.#known.delete(oldest);
  }

  /** Forgets a transcript; without a subpath, all transcripts of the session. */
  forget(key: SessionKey): void {
    const gone = (other: SessionKey): boolean =>
      key.subpath === undefined ? sessionHash(other).equals(sessionHash(key)) : hashOf(other) === hashOf(key);
    for (const [hash, known] of this.#known) if (gone(known.key)) this.#known.delete(hash);
    this.#appends.filter((append) => !gone(append.key));
  }

  /** Returns the appends after the first `length` entries; undefined if some of them are no longer in memory. */
  after(key: SessionKey, length: number): readonly RecentAppend[] | undefined {
    const hash = hashOf(key);
    const missing = [...this.#appends].filter((append) => append.start >= length && hashOf(append.key) === hash);
    const first = missing[0]?.start ?? this.find(key)?.state.length ?? length;
    return first > length ? undefined : missing;
  }
}

function hashOf(key: SessionKey): string {
  return transcriptHash(key).toString("hex");
}

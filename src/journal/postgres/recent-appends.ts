import type { SessionKey } from "@anthropic-ai/claude-agent-sdk";
import type { Clock } from "../../clock.ts";
import { RecentWrites } from "../model/recent-writes.ts";
import { type Appended, sessionHash, type TranscriptState, transcriptHash } from "./postgres-transcripts.ts";

/** Entries that a database has confirmed, and where in their transcript they stand. */
export interface RecentAppend {
  /** As it is kept. */
  readonly key: SessionKey;
  readonly start: number;
  readonly appended: Appended;
  readonly owned: OwnedUnder | undefined;
}

/** Of a session that moves between machines: its canonical name, and the epoch under which its transcript was written. */
export interface OwnedUnder {
  readonly session: string;
  readonly epoch: number;
}

/** What was last known of a transcript. */
export interface KnownTranscript {
  readonly key: SessionKey;
  readonly state: TranscriptState;
  readonly owned: OwnedUnder | undefined;
}

/** How many transcripts are remembered. */
const MOST_TRANSCRIPTS = 10_000;

/** What has been appended last to transcripts, and what they were after that. */
export class RecentAppends {
  readonly #appends: RecentWrites<RecentAppend>;
  /** By their hashes; what was used last is at the end. */
  readonly #known = new Map<string, KnownTranscript>();

  constructor(clock: Pick<Clock, "monotonic">) {
    this.#appends = new RecentWrites(clock);
  }

  /** What is known of the transcript. */
  find(key: SessionKey): KnownTranscript | undefined {
    return this.#known.get(hashOf(key));
  }

  /** All transcripts of which something is known. */
  get all(): readonly KnownTranscript[] {
    return [...this.#known.values()];
  }

  /** These entries have been appended, after which the transcript is this. */
  add(known: KnownTranscript, appended: Appended): void {
    const { key, state, owned } = known;
    this.learn(known);
    const start = state.length - appended.entries.length;
    // The entries themselves are held as well.
    this.#appends.add({ key, start, appended, owned }, 2 * appended.json.length);
  }

  /** The database says that the transcript is this. */
  learn(known: KnownTranscript): void {
    const hash = hashOf(known.key);
    this.#known.delete(hash);
    this.#known.set(hash, known);
    if (this.#known.size <= MOST_TRANSCRIPTS) return;
    const [oldest] = this.#known.keys();
    if (oldest !== undefined) this.#known.delete(oldest);
  }

  /** It is no more; without a subpath, all of the session are not. */
  forget(key: SessionKey): void {
    const gone = (other: SessionKey): boolean =>
      key.subpath === undefined ? sessionHash(other).equals(sessionHash(key)) : hashOf(other) === hashOf(key);
    for (const [hash, known] of this.#known) if (gone(known.key)) this.#known.delete(hash);
    this.#appends.filter((append) => !gone(append.key));
  }

  /** What was appended behind the first `length` entries; `undefined` if some of it is not known any more. */
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

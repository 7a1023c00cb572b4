import { CastellanError } from "../../errors.ts";
import type { Batch } from "../model/change.ts";
import type { Journal } from "../model/journal.ts";

type OwnRead =
  | "sessions"
  | "listSessions"
  | "unfinishedBeginning"
  | "turn"
  | "turns"
  | "unfinishedTurns"
  | "approvals"
  | "conversations"
  | "job"
  | "dueBeginning"
  | "events"
  | "eventExtent"
  | "content"
  | "deliveries"
  | "extent"
  | "usage"
  | "version";
type TranscriptRead = "of" | "writtenBy";

/** The reads that a borrower may ask for, by the names of the journal's methods. */
export type ReadMethod = OwnRead | `transcripts.${TranscriptRead}`;

/** Those that answer in pieces. */
export type StreamMethod = "records" | "jobs" | "transcripts.lines";

const READS: readonly OwnRead[] = [
  "sessions",
  "listSessions",
  "unfinishedBeginning",
  "turn",
  "turns",
  "unfinishedTurns",
  "approvals",
  "conversations",
  "job",
  "dueBeginning",
  "events",
  "eventExtent",
  "content",
  "deliveries",
  "extent",
  "usage",
  "version",
];
const TRANSCRIPT_READS: readonly TranscriptRead[] = ["of", "writtenBy"];
const STREAMS: readonly ("records" | "jobs")[] = ["records", "jobs"];

/** How many values a piece of a stream has, and about how many characters. */
const MOST_VALUES = 256;
const MOST_CHARACTERS = 1024 ** 2;

/** How many streams a borrower may have open. */
const MOST_STREAMS = 1_000;

/** Reads a journal for another application, which may be of an earlier or a later release. */
export class JournalReading {
  readonly #journal: Journal;
  readonly #streams = new Map<number, AsyncIterator<unknown>>();
  #next = 1;

  constructor(journal: Journal) {
    this.#journal = journal;
  }

  /** @throws CastellanError `JOURNAL_UNAVAILABLE`, also if this release does not know the method */
  async read(method: unknown, args: unknown): Promise<unknown> {
    const { transcripts } = this.#journal;
    const own = READS.find((name) => name === method);
    if (own !== undefined) return await called(this.#journal[own], this.#journal, args);
    const ofTranscripts = TRANSCRIPT_READS.find((name) => `transcripts.${name}` === method);
    if (ofTranscripts !== undefined) return await called(transcripts?.[ofTranscripts], transcripts, args);
    throw unknown(`the read ${JSON.stringify(method)}`);
  }

  /** Begins a stream. Resolves with its id. */
  async stream(method: unknown, args: unknown): Promise<number> {
    if (this.#streams.size >= MOST_STREAMS) throw unknown(`more than ${MOST_STREAMS} open streams`);
    const { transcripts } = this.#journal;
    const own = STREAMS.find((name) => name === method);
    if (own === undefined && method !== "transcripts.lines") throw unknown(`the read ${JSON.stringify(method)}`);
    const values =
      own === undefined
        ? called(transcripts?.lines, transcripts, args)
        : called(this.#journal[own], this.#journal, args);
    const id = this.#next++;
    this.#streams.set(id, (values as AsyncIterable<unknown>)[Symbol.asyncIterator]());
    return id;
  }

  async more(id: unknown): Promise<{ readonly values: readonly unknown[]; readonly done: boolean }> {
    const values: unknown[] = [];
    const stream = this.#streams.get(Number(id));
    if (stream === undefined) return { values, done: true };
    for (let size = 0; values.length < MOST_VALUES && size < MOST_CHARACTERS; ) {
      const { value, done } = await stream.next();
      if (done === true) {
        this.#streams.delete(Number(id));
        return { values, done: true };
      }
      values.push(value);
      size += typeof value === "string" ? value.length : 4_096;
    }
    return { values, done: false };
  }

  async leave(id: unknown): Promise<void> {
    const stream = this.#streams.get(Number(id));
    this.#streams.delete(Number(id));
    await stream?.return?.();
  }

  close(): void {
    for (const id of [...this.#streams.keys()]) void this.leave(id).catch(() => {});
  }
}

/** Writes the batches of one borrower, each once, although a batch comes again after a broken connection. */
export class BorrowedWriting {
  readonly #write: (batch: Batch, isDoubtful: boolean) => Promise<void>;
  #last: { readonly number: number; readonly done: Promise<void> } | undefined;

  constructor(write: (batch: Batch, isDoubtful: boolean) => Promise<void>) {
    this.#write = write;
  }

  /**
   * @param isDoubtful whether an earlier owner may have written the batch before it went away
   * @throws CastellanError `JOURNAL_UNAVAILABLE`, `NOT_OWNER`
   */
  async write(batch: Batch, isDoubtful = false): Promise<void> {
    const last = this.#last;
    if (last !== undefined && batch.number < last.number) return;
    if (last?.number === batch.number) return await last.done;
    const done = this.#write(batch, isDoubtful);
    const writing = { number: batch.number, done };
    this.#last = writing;
    try {
      await done;
    } catch (error) {
      if (this.#last === writing) this.#last = last;
      throw error;
    }
  }
}

/** Calls a method with what the other application, which is of this user, would pass to its own journal. */
// biome-ignore lint/complexity/noBannedTypes: any method of a journal; its arguments come from the other application
function called(method: Function | undefined, target: unknown, args: unknown): unknown {
  if (method === undefined || !Array.isArray(args)) throw unknown("what it was asked for");
  return Reflect.apply(method, target, args);
}

function unknown(what: string): CastellanError<"JOURNAL_UNAVAILABLE"> {
  const message = `The application that owns the journal does not know ${what}; it may be of another release.`;
  return new CastellanError("JOURNAL_UNAVAILABLE", message, { details: { reason: "failed", applied: false } });
}

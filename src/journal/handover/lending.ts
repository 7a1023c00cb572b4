import { type Clock, pause, type Timer } from "../../clock.ts";
import { CastellanError } from "../../errors.ts";
import type { Batch, Change } from "../model/change.ts";
import type { Journal } from "../model/journal.ts";
import { wasApplied } from "./applied.ts";
import type { Channel } from "./channel.ts";
import { BorrowedWriting, JournalReading } from "./journal-calls.ts";
import type { Loans } from "./loans.ts";
import type { Reach } from "./party.ts";

/** How long a borrower whose connection broke may take to come back, and how often to see whether it lives. */
const REJOIN_MS = 5_000;
const ALIVE_CHECK_MS = 100;

/** How much longer than its deadline a borrower may take to end its processes, in milliseconds. */
const ENDING_MS = 10_000;

/** The parts of a `JournalWriter` that a hand-over needs. */
export interface HandoverWriter {
  settled(): Promise<void>;
  record(changes: readonly Change[], options: { readonly durable: boolean }): Promise<void>;
  lose(error: CastellanError): void;
}

export interface LendingDeps {
  readonly clock: Clock;
  readonly journal: Journal;
  readonly loans: Loans;
  /** Whether a process of this machine runs. */
  readonly isAlive: (pid: number) => boolean;
  /** How long turns of a borrower may take, in milliseconds. */
  readonly deadlineMs: number;
}

/** Another application that finishes turns of sessions in this journal. */
interface Borrower {
  readonly id: string;
  readonly pid: number;
  readonly writing: BorrowedWriting;
  channel: Channel;
  reading: JournalReading;
  /** When it may have nothing any more. */
  readonly due: Timer;
}

/** The owner's part after a hand-over: reads and writes for the applications to which sessions are lent, until they return them. */
export class Lending {
  readonly #deps: LendingDeps;
  readonly #writer: () => HandoverWriter | undefined;
  readonly #borrowers = new Map<string, Borrower>();
  /** The borrowers that did not return their sessions in time. */
  readonly #revoked = new Set<string>();
  /** What borrowers have said and the journal does not have yet, by borrower. */
  readonly #writes = new Map<string, Set<Promise<void>>>();

  constructor(deps: LendingDeps, writer: () => HandoverWriter | undefined) {
    this.#deps = deps;
    this.#writer = writer;
  }

  /** Whether any other application is connected, with or without sessions. */
  get any(): boolean {
    return this.#borrowers.size > 0;
  }

  /** Adds an application to which sessions have been lent. */
  add(id: string, pid: number, channel: Channel): void {
    const { clock, deadlineMs, journal } = this.#deps;
    const writing = new BorrowedWriting((batch, isDoubtful) => this.#write(id, batch, isDoubtful));
    const due = clock.schedule(deadlineMs + ENDING_MS, () => this.#revoke(id), { background: true });
    const borrower: Borrower = { id, pid, writing, channel, reading: new JournalReading(journal), due };
    this.#borrowers.set(id, borrower);
    this.#watch(borrower);
  }

  /** A borrower whose connection broke comes back. */
  rejoin(id: string, pid: number, channel: Channel): void {
    const known = this.#borrowers.get(id);
    if (known === undefined) {
      this.add(id, pid, channel);
      return;
    }
    known.channel = channel;
    known.reading = new JournalReading(this.#deps.journal);
    this.#watch(known);
  }

  /** Tells the borrowers that the next owner can be reached so. */
  moved(reach: Reach): void {
    for (const { channel } of this.#borrowers.values()) void channel.call("moved", reach).catch(() => {});
  }

  /** Returns the borrower at the other end of a connection. @throws CastellanError `NOT_OWNER` if it is none */
  require(id: string | undefined, channel: Channel): Borrower {
    const borrower = this.#borrowers.values().find((one) => one.channel === channel);
    if (borrower === undefined || (id !== undefined && borrower.id !== id)) throw notOwner(this.#deps.journal.location);
    return borrower;
  }

  /** Answers a borrower. @throws CastellanError as the journal */
  async serve(
    known: string | undefined,
    channel: Channel,
    method: string,
    [first, second]: readonly unknown[],
  ): Promise<unknown> {
    const { id, reading, writing } = this.require(known, channel);
    switch (method) {
      case "write":
        return await writing.write(first as Batch, second === true);
      case "read":
        return await reading.read(first, second);
      case "stream":
        return await reading.stream(first, second);
      case "more":
        return await reading.more(first);
      case "leave":
        return await reading.leave(first);
      case "returned":
        this.#deps.loans.end(id, String(first));
        return undefined;
      case "bye":
        this.#deps.loans.end(id);
        return undefined;
      default:
        throw new Error(`this release does not know ${JSON.stringify(method)}`);
    }
  }

  close(): void {
    for (const { channel, due } of this.#borrowers.values()) {
      due.cancel();
      channel.close();
    }
    this.#borrowers.clear();
  }

  /** Takes the loans back once the borrower is dead, or has not come back for long. */
  #watch(borrower: Borrower): void {
    const { channel, id, pid, reading } = borrower;
    const { clock, loans, isAlive } = this.#deps;
    void channel.closed.then(async () => {
      reading.close();
      const until = clock.monotonic() + REJOIN_MS;
      while (isAlive(pid) && clock.monotonic() < until && borrower.channel === channel && loans.size > 0) {
        await pause(clock, ALIVE_CHECK_MS, { background: true });
      }
      if (borrower.channel !== channel) return;
      borrower.due.cancel();
      this.#borrowers.delete(id);
      this.#revoke(id);
    });
  }

  /** Takes back what a borrower has not returned, once what it has said is written. It may write no more. */
  #revoke(id: string): void {
    const { loans } = this.#deps;
    if (!loans.hasAny(id)) return;
    this.#revoked.add(id);
    void Promise.allSettled(this.#writes.get(id) ?? []).then(() => loans.end(id));
  }

  /**
   * Writes what a borrower says of the sessions that are lent to it, and of no other.
   *
   * @param isDoubtful whether an earlier owner, which is gone, may have written the batch
   */
  async #write(id: string, batch: Batch, isDoubtful: boolean): Promise<void> {
    const { changes, sessions = [], durable } = batch;
    const { journal, loans } = this.#deps;
    if (changes.length === 0) return;
    if (this.#revoked.has(id)) throw notOwner(journal.location);
    const foreign = sessions.find((key) => !loans.isLentTo(key, id));
    if (foreign !== undefined || sessions.length === 0) throw notLent(journal.location, foreign);
    if (isDoubtful && (await wasApplied(batch, journal))) return;
    const written = this.#writer()?.record(changes, { durable });
    if (written === undefined) return;
    const writes = this.#writes.get(id) ?? new Set();
    this.#writes.set(id, writes.add(written));
    try {
      await written;
    } finally {
      writes.delete(written);
    }
  }
}

function notLent(location: string, key: string | undefined): CastellanError<"JOURNAL_UNAVAILABLE"> {
  const what = key === undefined ? "changes of no session" : `changes of ${key}, which it has taken back`;
  const message = `The application that owns the journal ${location} refuses ${what}.`;
  return new CastellanError("JOURNAL_UNAVAILABLE", message, { details: { reason: "refused", applied: false } });
}

/** The error of an application that neither owns the journal nor has any session of it. */
export function notOwner(location: string): CastellanError<"NOT_OWNER"> {
  const message = `The journal ${location} belongs to another application, which has taken back the sessions that were lent to this one.`;
  return new CastellanError("NOT_OWNER", message);
}

import { statSync } from "node:fs";
import type { Clock, Timer } from "../../clock.ts";
import { unavailable } from "./sqlite-fault.ts";
import { change } from "./sqlite-guard.ts";
import type { OpenFile } from "./sqlite-opening.ts";
import { SQL } from "./sqlite-statements.ts";
import { SqliteThread } from "./sqlite-thread.ts";

/**
 * Rewriting that nobody waits for may take this part of the time, and comes no sooner than this after the last one, so that many who
 * ask for it share one. If it fails it is tried again later.
 */
const SHARE = 0.05;
const REST_MS = 1_000;
const RETRY_MS = 600_000;

/** Larger files are not rewritten when they are closed: an application that ends has no time for it. In bytes. */
const LARGEST_AT_CLOSE = 64 * 1024 ** 2;

/**
 * Sees to it that what was removed from a file is not in it any more. That is written down in the file itself, with what is removed,
 * so that it is made up for after a crash.
 */
export class SqliteExpunging {
  readonly #file: OpenFile;
  readonly #location: string;
  readonly #clock: Clock;
  /** The one that is under way; nothing may be written to the file meanwhile. */
  #running: Promise<void> | undefined;
  /** The one after that, which has all in it that was removed by the time it begins. */
  #next: Promise<void> | undefined;
  /** Before this, on the monotonic clock, none is begun that nobody waits for. */
  #restsUntil = Number.NEGATIVE_INFINITY;
  #timer: Timer | undefined;

  constructor(file: OpenFile, location: string, clock: Clock) {
    this.#file = file;
    this.#location = location;
    this.#clock = clock;
  }

  /** Makes up for what was not done before. */
  async start(): Promise<void> {
    if (await this.#isDue()) this.#later();
  }

  /** Resolves when the file can be written to. */
  async free(): Promise<void> {
    while (this.#running !== undefined) await this.#running.catch(() => {});
  }

  /**
   * Resolves when nothing is in the file any more that was removed before; if it is not urgent, it may also be done later.
   *
   * @throws CastellanError `JOURNAL_UNAVAILABLE`
   */
  async expunge(urgent: boolean): Promise<void> {
    if (this.#running === undefined && !(await this.#isDue())) return;
    if (!urgent && this.#clock.monotonic() < this.#restsUntil) this.#later();
    else await this.#once();
  }

  /** To be called before the file is closed. */
  async close(): Promise<void> {
    this.#timer?.cancel();
    this.#timer = undefined;
    await this.free();
    const { size } = statSync(this.#file.path, { throwIfNoEntry: false }) ?? { size: 0 };
    if (size <= LARGEST_AT_CLOSE && (await this.#isDue().catch(() => false))) await this.#once().catch(() => {});
    await this.free();
  }

  async #isDue(): Promise<boolean> {
    const { connection, unwritable } = this.#file;
    return unwritable === undefined && (await connection.get(SQL.hasResidue)) !== undefined;
  }

  /** Those who come while one is under way share the next. */
  #once(): Promise<void> {
    if (this.#running === undefined) return this.#begin();
    this.#next ??= this.free().then(() => {
      this.#next = undefined;
      return this.#running ?? this.#begin();
    });
    return this.#next;
  }

  #begin(): Promise<void> {
    const running = this.#rewrite().finally(() => {
      this.#running = undefined;
    });
    this.#running = running;
    return running;
  }

  async #rewrite(): Promise<void> {
    const since = this.#clock.monotonic();
    try {
      if (!(await this.#isDue())) return;
      // What somebody else has done to the file has to be found out before.
      await change(this.#file, []);
      await rewrite(this.#file.path);
      await this.#file.connection.settle();
      await change(this.#file, [{ sql: SQL.noResidue }]);
    } catch (error) {
      this.#later(RETRY_MS);
      throw unavailable(this.#location, error, true);
    } finally {
      const now = this.#clock.monotonic();
      this.#restsUntil = now + Math.max(REST_MS, (now - since) / SHARE);
    }
  }

  #later(ms: number = Math.max(0, this.#restsUntil - this.#clock.monotonic())): void {
    if (this.#timer !== undefined) return;
    const begin = (): void => {
      this.#timer = undefined;
      void this.#once().catch(() => {});
    };
    this.#timer = this.#clock.schedule(ms, begin, { background: true });
  }
}

/** How long somebody else who reads, or writes by hand, is waited for, in milliseconds. */
const READER_MS = 2_000;

/**
 * Writes a SQLite file anew, so that nothing stands in it, or in its write-ahead log, but what it says by now. `secure_delete` is not
 * enough for that: when SQLite moves rows from one page to another it leaves their bytes where they were.
 *
 * It takes as long as a copy of the file, in a thread of its own. Nobody in this process may write to the file meanwhile.
 *
 * @throws Error with the `errcode` of SQLite
 */
async function rewrite(path: string): Promise<void> {
  const thread = new SqliteThread();
  try {
    const connection = await thread.connect(path, { busyMs: READER_MS });
    try {
      // `VACUUM` copies all that counts into fresh pages; the checkpoint brings them into the file and empties the log.
      await connection.exec("VACUUM");
      const left = await connection.get("PRAGMA wal_checkpoint(TRUNCATE)");
      if (left?.["busy"] !== 0) {
        throw new Error("another program reads it, so that what was removed is still in its write-ahead log");
      }
    } finally {
      await connection.close();
    }
  } finally {
    await thread.end();
  }
}

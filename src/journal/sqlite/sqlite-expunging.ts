import { statSync } from "node:fs";
import type { Clock, Timer } from "../../clock.ts";
import { unavailable } from "./sqlite-fault.ts";
import { change } from "./sqlite-guard.ts";
import type { OpenFile } from "./sqlite-opening.ts";
import { SQL } from "./sqlite-statements.ts";
import { SqliteThread } from "./sqlite-thread.ts";

/**
 * Rewrites in the background take at most this share of the time, and start at least this many milliseconds apart, so
 * that several requests share one. A failed rewrite is retried after `RETRY_MS`.
 */
const SHARE = 0.05;
const REST_MS = 1_000;
const RETRY_MS = 600_000;

/** Larger files are not rewritten at closing, which must be quick. In bytes. */
const LARGEST_AT_CLOSE = 64 * 1024 ** 2;

/**
 * Removes the bytes of deleted rows from a file. The file records that a rewrite is due, in the transaction of the
 * deletion, so a crash does not lose it.
 */
export class SqliteExpunging {
  readonly #file: OpenFile;
  readonly #location: string;
  readonly #clock: Clock;
  /** The running rewrite. Nothing may write to the file meanwhile. */
  #running: Promise<void> | undefined;
  /** The next rewrite, which covers all deletions up to its start. */
  #next: Promise<void> | undefined;
  /** No background rewrite starts before this moment, on the monotonic clock. */
  #restsUntil = Number.NEGATIVE_INFINITY;
  #timer: Timer | undefined;

  constructor(file: OpenFile, location: string, clock: Clock) {
    this.#file = file;
    this.#location = location;
    this.#clock = clock;
  }

  /** Schedules a rewrite that is still due. */
  async start(): Promise<void> {
    if (await this.#isDue()) this.#later();
  }

  /** Resolves once the file may be written. */
  async free(): Promise<void> {
    while (this.#running !== undefined) await this.#running.catch(() => {});
  }

  /**
   * Resolves once the bytes of all earlier deletions are gone; unless urgent, the rewrite may be scheduled for later.
   *
   * @throws CastellanError `JOURNAL_UNAVAILABLE`
   */
  async expunge(urgent: boolean): Promise<void> {
    if (this.#running === undefined && !(await this.#isDue())) return;
    if (!urgent && this.#clock.monotonic() < this.#restsUntil) this.#later();
    else await this.#once();
  }

  /** Call it before the file is closed. */
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

  /** Callers during a rewrite share the next one. */
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
      // Detects changes by other programs first.
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

/** How long to wait for readers and manual writes of other programs, in milliseconds. */
const READER_MS = 2_000;

/**
 * Rewrites a SQLite file, so that the file and its log contain only current data. `secure_delete` is not enough: when
 * SQLite moves rows between pages, their old bytes stay.
 *
 * It takes as long as a copy of the file, in a thread of its own. Nothing in this process may write to the file
 * meanwhile.
 *
 * @throws Error with the `errcode` of SQLite
 */
async function rewrite(path: string): Promise<void> {
  const thread = new SqliteThread();
  try {
    const connection = await thread.connect(path, { busyMs: READER_MS });
    try {
      // `VACUUM` copies the data to fresh pages; the checkpoint writes them to the file and truncates the log.
      await connection.exec("VACUUM");
      const left = await connection.get("PRAGMA wal_checkpoint(TRUNCATE)");
      if (left?.["busy"] !== 0) {
        throw new Error("another program reads the file, so its write-ahead log still contains deleted data");
      }
    } finally {
      await connection.close();
    }
  } finally {
    await thread.end();
  }
}

import type { Clock } from "../../clock.ts";

/** How long to keep a write, in milliseconds, and how many bytes of writes. */
export const KEPT_MS: number = 5 * 60_000;
const MOST_BYTES = 16 * 1024 ** 2;

/** Overhead per write, in bytes. */
const OVERHEAD = 256;

interface Kept<Write> {
  readonly write: Write;
  readonly bytes: number;
  readonly at: number;
}

/**
 * The last writes that a database has confirmed, oldest first, bounded by age and size. A database that fails over to a
 * replica may have lost them, and gets them again.
 */
export class RecentWrites<Write> implements Iterable<Write> {
  readonly #clock: Pick<Clock, "monotonic">;
  #kept: Kept<Write>[] = [];
  #bytes = 0;

  constructor(clock: Pick<Clock, "monotonic">) {
    this.#clock = clock;
  }

  /** @param bytes size of the write */
  add(write: Write, bytes: number): void {
    const at = this.#clock.monotonic();
    this.#kept.push({ write, bytes: bytes + OVERHEAD, at });
    this.#bytes += bytes + OVERHEAD;
    const dropped = this.#kept.findIndex((kept) => {
      const fits = this.#bytes <= MOST_BYTES && at - kept.at <= KEPT_MS;
      if (!fits) this.#bytes -= kept.bytes;
      return fits;
    });
    if (dropped !== 0) this.#kept = dropped === -1 ? [] : this.#kept.slice(dropped);
  }

  /** Keeps only the writes that `keep` accepts. */
  filter(keep: (write: Write) => boolean): void {
    this.#kept = this.#kept.filter(({ write }) => keep(write));
    this.#bytes = this.#kept.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  *[Symbol.iterator](): Generator<Write, void, undefined> {
    for (const { write } of this.#kept) yield write;
  }
}

import type { Clock, Timer } from "../clock.ts";
import type { ExportPage } from "../cluster/protocol/frames.ts";
import { CastellanError } from "../errors.ts";

/** The size from which a page is complete: in characters, and in lines. */
const PAGE_LENGTH = 1_000_000;
const PAGE_LINES = 1_000;

/** How long a reader may take to request the next page, and the maximum number of concurrent readers. */
const IDLE_MS = 60_000;
const MAX_READERS = 64;

interface Reading {
  readonly lines: AsyncGenerator<string, void, undefined>;
  readonly timer: Timer;
}

/** Serves exports to other nodes, page by page. */
export class ExportPages {
  readonly #clock: Clock;
  readonly #newId: () => string;
  /** The running exports, by the id with which the next page is requested. */
  readonly #readings = new Map<string, Reading>();

  constructor(clock: Clock, newId: () => string) {
    this.#clock = clock;
    this.#newId = newId;
  }

  /**
   * Returns the first page of a new export, or the page that is requested with `next`.
   *
   * @throws CastellanError `CLUSTER_UNAVAILABLE` for an unknown `next`; anything that the export throws
   */
  async page(begin: () => AsyncGenerator<string, void, undefined>, next?: string): Promise<ExportPage> {
    const lines = next === undefined ? begin() : this.#take(next);
    const page: string[] = [];
    for (let length = 0; length < PAGE_LENGTH && page.length < PAGE_LINES; ) {
      const { done, value } = await lines.next();
      if (done === true) return { lines: page };
      page.push(value);
      length += value.length;
    }
    return { lines: page, next: this.#keep(lines) };
  }

  #take(id: string): Reading["lines"] {
    const reading = this.#readings.get(id);
    if (reading === undefined) {
      const message =
        "The export was cut off: its session has moved to another node, or no page was requested for a minute. Start the export again.";
      throw new CastellanError("CLUSTER_UNAVAILABLE", message, { details: { reason: "uncertain" } });
    }
    reading.timer.cancel();
    this.#readings.delete(id);
    return reading.lines;
  }

  #keep(lines: Reading["lines"]): string {
    const id = this.#newId();
    const timer = this.#clock.schedule(IDLE_MS, () => this.#close(id), { background: true });
    this.#readings.set(id, { lines, timer });
    const [oldest] = this.#readings.keys();
    if (this.#readings.size > MAX_READERS && oldest !== undefined) this.#close(oldest);
    return id;
  }

  #close(id: string): void {
    const reading = this.#readings.get(id);
    this.#readings.delete(id);
    reading?.timer.cancel();
    // Best effort: the reader is gone.
    void reading?.lines.return().catch(() => {});
  }
}

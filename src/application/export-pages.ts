import type { Clock, Timer } from "../clock.ts";
import type { ExportPage } from "../cluster/protocol/frames.ts";
import { CastellanError } from "../errors.ts";

/** How much is in a page, at the least, if there is as much: characters, lines. */
const PAGE_LENGTH = 1_000_000;
const PAGE_LINES = 1_000;

/** How long somebody may take to ask for the next page, and how many may read at a time. */
const IDLE_MS = 60_000;
const MOST_READERS = 64;

interface Reading {
  readonly lines: AsyncGenerator<string, void, undefined>;
  readonly timer: Timer;
}

/** Exports that are read from afar, page by page. */
export class ExportPages {
  readonly #clock: Clock;
  readonly #newId: () => string;
  /** By what the next page is asked for. */
  readonly #readings = new Map<string, Reading>();

  constructor(clock: Clock, newId: () => string) {
    this.#clock = clock;
    this.#newId = newId;
  }

  /**
   * The first page of what `begin` gives, or the one that is asked for with `next`.
   *
   * @throws CastellanError `CLUSTER_UNAVAILABLE` if nothing is known of that one; whatever is thrown by what is read
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
        "The export was cut off: its session has moved to another node, or nobody has asked for more of it for a minute. Begin it again.";
      throw new CastellanError("CLUSTER_UNAVAILABLE", message, { details: { reason: "uncertain" } });
    }
    reading.timer.cancel();
    this.#readings.delete(id);
    return reading.lines;
  }

  #keep(lines: Reading["lines"]): string {
    const id = this.#newId();
    const timer = this.#clock.schedule(IDLE_MS, () => this.#drop(id), { background: true });
    this.#readings.set(id, { lines, timer });
    const [oldest] = this.#readings.keys();
    if (this.#readings.size > MOST_READERS && oldest !== undefined) this.#drop(oldest);
    return id;
  }

  #drop(id: string): void {
    const reading = this.#readings.get(id);
    this.#readings.delete(id);
    reading?.timer.cancel();
    // Nobody waits for what it still does.
    void reading?.lines.return().catch(() => {});
  }
}

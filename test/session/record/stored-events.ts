import { pause } from "../../../src/clock.ts";
import type { EventEntry, EventExtent, EventQuery } from "../../../src/journal/model/event-entry.ts";
import type { EventStore } from "../../../src/session/record/event-readers.ts";
import type { EventAppended } from "../../../src/session/record/session-record.ts";
import type { SimulatedClock } from "../../supervision/simulated-clock.ts";

/** The events of one session on a disk that outlives applications. Reads take the given times, in turn. */
export class StoredEvents implements EventStore {
  /** By number: those that are kept, and those that ever were. */
  readonly ever = new Map<number, EventEntry>();
  readonly entries = new Map<number, EventEntry>();
  #last = 0;
  #first = 1;
  readonly #clock: SimulatedClock;
  readonly #largestPage: number;
  readonly #latencies: readonly number[];
  #reads = 0;

  /** `largestPage`: a page of large events has fewer than it may have. */
  constructor(clock: SimulatedClock, latencies: readonly number[] = [], largestPage = Number.POSITIVE_INFINITY) {
    this.#largestPage = largestPage;
    this.#clock = clock;
    this.#latencies = latencies;
  }

  get last(): number {
    return this.#last;
  }

  /** Writes a batch. An event has no effect unless its number is higher than the last one. */
  write(batch: readonly EventAppended[]): void {
    for (const { event } of batch) {
      if (event.number > this.#last) {
        this.entries.set(event.number, copy(event));
        this.ever.set(event.number, copy(event));
      }
      this.#last = Math.max(this.#last, event.number);
    }
  }

  /** Deletes the oldest events. */
  prune(count: number): void {
    for (let n = 0; n < count && this.#first <= this.#last; n++) {
      this.entries.delete(this.#first);
      this.#first++;
    }
  }

  async ready(): Promise<void> {}

  async extent(): Promise<EventExtent | undefined> {
    await this.#wait();
    return this.#last === 0 ? undefined : { first: this.#first, last: this.#last, bytes: 0 };
  }

  async events({ after = 0, types, turn, limit }: Omit<EventQuery, "session">): Promise<EventEntry[]> {
    const found = [...this.entries.values()]
      .toSorted((one, other) => one.number - other.number)
      .filter((event) => event.number > after)
      .filter((event) => types === undefined || types.includes(event.type))
      .filter((event) => turn === undefined || event.turn === turn)
      .slice(0, Math.min(limit, this.#largestPage))
      .map(copy);
    await this.#wait();
    return found;
  }

  async #wait(): Promise<void> {
    const ms = this.#latencies[this.#reads++ % this.#latencies.length] ?? 0;
    if (ms > 0) await pause(this.#clock, ms);
  }
}

/** Returns the value as a disk would return it. */
function copy<Value>(value: Value): Value {
  return JSON.parse(JSON.stringify(value)) as Value;
}

import { isStorageFault } from "../../src/errors.ts";
import type { SimulatedChange } from "./simulated-journal.ts";

/** A change, and its number among those of one run of a node for one session. */
export interface NumberedChange {
  readonly number: number;
  readonly change: SimulatedChange;
}

/** Whose writes they are. */
export interface Writer {
  readonly boot: string;
  readonly key: string;
  readonly epoch: number;
}

/** The database lacks earlier writes, or the claim: it failed over to an older state. */
export class MissingWrites extends Error {
  override readonly name = "MissingWrites";
}

/** What can write again what a database lacks. */
export interface WritesAgain {
  /** Returns the number of the last write that the database has. */
  lastNumber(writer: Writer): Promise<number>;
  /** Writes again what the database lacks, and records the claim. @throws CastellanError `NOT_OWNER` */
  writeAgain(writer: Writer, changes: readonly NumberedChange[], stillOwned: boolean): Promise<void>;
}

interface Written extends Writer {
  readonly changes: NumberedChange[];
}

/** The confirmed writes of one run of a node, which outlive it: a model of `RecentBatches` and `ReplayBuffer`. */
export class SimulatedWrites {
  readonly #boot: string;
  readonly #writers = new Map<string, Written>();

  constructor(boot: string) {
    this.#boot = boot;
  }

  get boot(): string {
    return this.#boot;
  }

  add(key: string, epoch: number, change: NumberedChange): void {
    const id = `${key} ${epoch}`;
    const written = this.#writers.get(id) ?? { boot: this.#boot, key, epoch, changes: [] };
    this.#writers.set(id, written);
    written.changes.push(change);
  }

  of(key: string, epoch: number): readonly NumberedChange[] {
    return this.#writers.get(`${key} ${epoch}`)?.changes ?? [];
  }

  /**
   * Writes again what the database lacks of sessions that the run does not own. Returns those for which it could not.
   *
   * @throws CastellanError `DATABASE_UNAVAILABLE`
   */
  async restore(
    to: WritesAgain,
    epochOf: (key: string) => number | undefined = () => undefined,
  ): Promise<readonly string[]> {
    const refused: string[] = [];
    for (const { changes, ...writer } of this.#writers.values()) {
      if (epochOf(writer.key) === writer.epoch) continue;
      if ((await to.lastNumber(writer)) >= (changes.at(-1)?.number ?? 0)) continue;
      try {
        await to.writeAgain(writer, changes, false);
      } catch (error) {
        if (isStorageFault(error)) throw error;
        refused.push(writer.key);
      }
    }
    return refused;
  }
}

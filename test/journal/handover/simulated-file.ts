import { CastellanError } from "../../../src/errors.ts";
import type { Reservations } from "../../../src/journal/handover/reservation.ts";
import { memoryJournal } from "../../../src/journal/memory/memory-journal.ts";
import type { Batch, Change } from "../../../src/journal/model/change.ts";
import type { Journal, JournalOwner } from "../../../src/journal/model/journal.ts";
import { inUse } from "../../../src/journal/model/journal-errors.ts";
import type { Chance } from "../../cluster/simulated-chance.ts";
import type { SimulatedMachine } from "../../cluster/simulated-machine.ts";
import type { SimulatedTime } from "../../cluster/simulated-time.ts";

/** A batch that reached the file. */
export interface WrittenBatch {
  readonly at: number;
  readonly by: string;
  /** Whether the writer had the file locked. */
  readonly owned: boolean;
  readonly changes: readonly Change[];
}

const STREAMS: ReadonlySet<string> = new Set(["records", "jobs"]);

/** A journal in a file that several processes open one after the other. Whoever has it open has locked it. */
export class SimulatedFile {
  readonly #time: SimulatedTime;
  readonly #chance: Chance;
  readonly #content: Journal = memoryJournal();
  /** The longest time of an operation, in milliseconds. */
  slownessMs = 3;
  /** The probability that a write fails without an effect. */
  fails = 0;
  readonly written: WrittenBatch[] = [];
  #lock: { readonly machine: SimulatedMachine; readonly owner: JournalOwner } | undefined;
  /** Called when a process has opened the file, before it learns of it. */
  onOpened: (machine: SimulatedMachine) => void = () => {};
  /** Called after each batch that had an effect, before its writer learns of it. */
  onWritten: (machine: SimulatedMachine) => void = () => {};
  log: (what: string) => void = () => {};
  #reservedBy: SimulatedMachine | undefined;
  /** Called before each operation of a process. */
  onCall: (machine: SimulatedMachine) => void = () => {};

  constructor(time: SimulatedTime, chance: Chance) {
    this.#time = time;
    this.#chance = chance;
  }

  /** The content, whoever has it open. */
  get content(): Journal {
    return this.#content;
  }

  /** The process that has the file open. A dead one has it no more. */
  get owner(): SimulatedMachine | undefined {
    return this.#lock?.machine.state === "dead" ? undefined : this.#lock?.machine;
  }

  /** Returns what keeps the closed file for one process. It ends with the process that made it. */
  reservationsOf(machine: SimulatedMachine): Reservations {
    const holder = (): SimulatedMachine | undefined => {
      return this.#reservedBy?.state === "dead" ? undefined : this.#reservedBy;
    };
    return {
      reserve: async () => {
        if (holder() !== undefined) return undefined;
        this.#reservedBy = machine;
        return {
          close: () => {
            if (this.#reservedBy === machine) this.#reservedBy = undefined;
          },
        };
      },
      held: async () => {
        const by = holder();
        if (by === undefined || by === machine) return undefined;
        return inUse("the file", { id: by.name, pid: 0, host: "here", startedAt: 0 });
      },
    };
  }

  /** Returns the file as a process sees it. */
  openedBy(machine: SimulatedMachine): Journal {
    const own: Pick<Journal, "location" | "kind" | "open" | "close" | "write"> = {
      location: "the file",
      kind: "sqlite",
      open: (owner) => this.#call(machine, () => this.#open(machine, owner)),
      close: () => this.#call(machine, () => this.#close(machine)),
      write: (batch) => this.#call(machine, () => this.#write(machine, batch)),
    };
    return new Proxy(this.#content, {
      get: (content, name) => {
        if (name === "transcripts" || name === "expunge" || name === "version") return undefined;
        if (name in own) return Reflect.get(own, name);
        const value: unknown = Reflect.get(content, name, content);
        if (typeof value !== "function" || STREAMS.has(String(name))) return value;
        return (...args: unknown[]) =>
          this.#call(machine, async () => {
            if (this.owner !== machine) throw closed();
            return (await Reflect.apply(value, content, args)) as unknown;
          });
      },
    });
  }

  async #open(machine: SimulatedMachine, owner: JournalOwner): Promise<void> {
    if (this.owner !== undefined && this.owner !== machine && this.#lock !== undefined) {
      throw inUse("the file", this.#lock.owner);
    }
    await this.#content.close();
    await this.#content.open(owner);
    this.#lock = { machine, owner };
    this.log(`${machine.name} has opened the file`);
    this.onOpened(machine);
  }

  async #close(machine: SimulatedMachine): Promise<void> {
    if (this.#lock?.machine !== machine) return;
    this.#lock = undefined;
    this.log(`${machine.name} has closed the file`);
  }

  async #write(machine: SimulatedMachine, batch: Batch): Promise<void> {
    const owned = this.owner === machine;
    this.written.push({ at: this.#time.now, by: machine.name, owned, changes: batch.changes });
    if (!owned) throw closed();
    if (this.#chance.happens(this.fails)) throw busy();
    await this.#content.write(batch);
    if (batch.changes.length > 0) this.onWritten(machine);
  }

  /** The effect happens while the process runs, and its answer may come when it is dead. */
  #call<Value>(machine: SimulatedMachine, effect: () => Promise<Value>): Promise<Value> {
    const { promise, resolve, reject } = Promise.withResolvers<Value>();
    this.onCall(machine);
    const later = (run: () => void): void =>
      void this.#time.after(this.#chance.between(0.1, this.slownessMs), () => machine.deliver(run));
    later(() => {
      effect().then(
        (value) => later(() => resolve(value)),
        (error: unknown) => later(() => reject(error)),
      );
    });
    return promise;
  }
}

function closed(): CastellanError<"JOURNAL_UNAVAILABLE"> {
  return new CastellanError("JOURNAL_UNAVAILABLE", "The file is not open.", {
    details: { reason: "failed", applied: false },
  });
}

function busy(): CastellanError<"JOURNAL_UNAVAILABLE"> {
  return new CastellanError("JOURNAL_UNAVAILABLE", "The file is busy.", {
    details: { reason: "busy", applied: false },
  });
}

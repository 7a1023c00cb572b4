import { copyFile } from "node:fs/promises";
import type { Change } from "../src/index.ts";
import { sqliteJournal } from "../src/journal/sqlite/sqlite-journal.ts";
import { Filling } from "./filling.ts";

/** How much a host has. */
export interface Amounts {
  readonly names: number;
  /** Ended turns in the journal. */
  readonly turns: number;
  /** Events in the journal. */
  readonly events: number;
}

/** The name of a session, by its index. */
export function nameOf(index: number): string {
  return `name-${index}`;
}

/** How many changes to write at a time. */
const BATCH = 1_000;

/** A file that is filled bit by bit, and copied on the way. */
export class GrowthJournal {
  readonly #path: string;
  readonly #names: number;
  #amounts = { turns: 0, events: 0 };
  /** The fillings begin anew with each opening; the events go on. */
  #filling: Filling | undefined;

  /** @param names whose turns and events they are */
  constructor(path: string, names: number) {
    this.#path = path;
    this.#names = names;
  }

  /** Fills the file up to these amounts, and copies it. */
  async copyWith({ turns, events }: Omit<Amounts, "names">, to: string): Promise<void> {
    const journal = sqliteJournal({ sqlite: this.#path });
    await journal.open({ id: "bench", pid: process.pid, host: "here", startedAt: 0 });
    const now = Date.now();
    this.#filling = new Filling(journal, this.#names, {
      from: this.#filling,
      keyOf: (index) => JSON.stringify(nameOf(index)),
      timeOf: () => now,
    });
    await this.#filling.upTo(events);
    await this.#addTurns(this.#filling, turns);
    await journal.close();
    this.#amounts = { turns, events };
    await copyFile(this.#path, to);
  }

  async #addTurns(filling: Filling, until: number): Promise<void> {
    for (let from = this.#amounts.turns; from < until; from += BATCH / 2) {
      const count = Math.min(BATCH / 2, until - from);
      const changes = Array.from({ length: count }, (_, index) => this.#turn(from + index)).flat();
      await filling.write(...changes);
    }
  }

  #turn(number: number): Change[] {
    const [id, at] = [`turn-${number}`, Date.now()];
    const session = JSON.stringify(nameOf(number % this.#names));
    const turn = {
      id,
      session,
      prompt: "Do this, please. ".repeat(5),
      position: number,
      durable: false,
      acceptedAt: at,
    };
    const outcome = { text: "It is done. ".repeat(10) };
    return [
      { type: "turn_accepted", turn, begun: { promptId: id, attempt: 1 } },
      { type: "turn_ended", turn: id, state: "completed", at, outcome },
    ];
  }
}

import { pause } from "../../../src/clock.ts";
import { CastellanError, isStorageFault } from "../../../src/errors.ts";
import type { Loans } from "../../../src/journal/handover/loans.ts";
import type { JournalWriter } from "../../../src/journal/journal-writer.ts";
import type { Change } from "../../../src/journal/model/change.ts";
import type { Journal } from "../../../src/journal/model/journal.ts";
import type { TurnEntry } from "../../../src/journal/model/turn-entry.ts";
import type { Chance } from "../../cluster/simulated-chance.ts";
import type { SimulatedMachine } from "../../cluster/simulated-machine.ts";

/** How a turn ended for its caller. */
export type Outcome = "completed" | "interrupted";

/** What observes the turns of all processes. */
export interface TurnObserver {
  accepted(turn: string, machine: SimulatedMachine): void;
  began(key: string, turn: string, machine: SimulatedMachine): void;
  ended(key: string, machine: SimulatedMachine): void;
  finished(turn: string, machine: SimulatedMachine): void;
}

/** Where a simulated session runs. */
export interface TalkPlace {
  readonly machine: SimulatedMachine;
  readonly chance: Chance;
  readonly journal: Journal;
  readonly writer: JournalWriter;
  readonly loans: Loans;
  readonly observer: TurnObserver;
  /** The longest time of a step of a turn, in milliseconds. */
  readonly stepMs: number;
}

interface Current {
  readonly turn: string;
  readonly cut: AbortController;
  readonly over: PromiseWithResolvers<void>;
}

/** The cost of each turn that runs to its end. */
export const COST_USD = 1;

const USAGE = { inputTokens: 0, outputTokens: 0, cacheReadInputTokens: 0, cacheCreationInputTokens: 0 };

/** A model of a session in one process: it accepts turns, and runs them one after the other. */
export class SimulatedTalk {
  readonly key: string;
  readonly #place: TalkPlace;
  #queue: string[] = [];
  #current: Current | undefined;
  #state: "restoring" | "here" | "away" = "away";
  #yields = false;
  /** Counts the times that the session came here, so that what an earlier one began has no effect. */
  #round = 0;
  #accepting = 0;
  #number = 0;
  readonly #ended = new Map<string, PromiseWithResolvers<Outcome | undefined>>();

  constructor(key: string, place: TalkPlace) {
    this.key = key;
    this.#place = place;
  }

  /** Whether it accepts turns. */
  get isOpen(): boolean {
    return this.#state === "here" && !this.#yields;
  }

  get isAway(): boolean {
    return this.#state === "away";
  }

  get isAtRest(): boolean {
    return this.#current === undefined && this.#accepting === 0 && this.#state !== "restoring";
  }

  /** Takes the session over from the journal, once it is not lent. */
  async restore(): Promise<void> {
    const { loans, journal } = this.#place;
    const round = ++this.#round;
    this.#state = "restoring";
    this.#yields = false;
    await loans.over(this.key);
    const [entries, extent] = await Promise.all([
      this.#read(() => journal.unfinishedTurns([this.key])),
      this.#read(() => journal.eventExtent(this.key)),
    ]);
    if (round !== this.#round || entries === undefined) return;
    this.#number = extent?.last ?? 0;
    this.#state = "here";
    for (const entry of entries) this.#take(entry);
    this.#next();
  }

  /** @throws CastellanError `JOURNAL_UNAVAILABLE`, `NOT_OWNER` */
  async accept(turn: string): Promise<void> {
    const { machine } = this.#place;
    this.#accepting += 1;
    try {
      const accepted = {
        id: turn,
        session: this.key,
        prompt: turn,
        position: 0,
        durable: true,
        acceptedAt: machine.now(),
      };
      await this.#write([{ type: "turn_accepted", turn: accepted }]);
    } finally {
      this.#accepting -= 1;
    }
    if (this.#state !== "here" || this.#ended.has(turn)) return;
    this.#ended.set(turn, Promise.withResolvers());
    this.#queue.push(turn);
    this.#next();
  }

  /** Resolves with the outcome of a turn that is here, or with undefined once it may be elsewhere. */
  outcome(turn: string): Promise<Outcome | undefined> {
    return this.#ended.get(turn)?.promise ?? Promise.resolve(undefined);
  }

  /** Begins no more turns. */
  yield(): void {
    this.#yields = true;
  }

  unyield(): void {
    this.#yields = false;
    this.#next();
  }

  /** Resolves once its turn is over; at the deadline the turn is cut. */
  async quiet(deadlineMs: number): Promise<void> {
    const { machine } = this.#place;
    const current = this.#current;
    if (current !== undefined) {
      await Promise.race([current.over.promise, pause(machine, deadlineMs)]);
      current.cut.abort();
      await current.over.promise;
    }
    while (this.#accepting > 0) await pause(machine, 5);
  }

  /** The session is elsewhere from now on. */
  surrender(): void {
    this.#round += 1;
    this.#state = "away";
    this.#queue = [];
    for (const { resolve } of this.#ended.values()) resolve(undefined);
    this.#ended.clear();
  }

  /** The process owns nothing any more: its turn is cut at once. */
  lose(): void {
    this.#current?.cut.abort();
    this.surrender();
  }

  #take({ id, state, touched }: TurnEntry): void {
    if (this.#ended.has(id)) return;
    this.#ended.set(id, Promise.withResolvers());
    // A turn that was cut is not run again if it had begun to answer.
    if (state === "running" && touched) void this.#end(id, "interrupted").catch(() => {});
    else this.#queue.push(id);
  }

  #next(): void {
    if (!this.isOpen || this.#current !== undefined) return;
    const turn = this.#queue.shift();
    if (turn === undefined) return;
    const current = { turn, cut: new AbortController(), over: Promise.withResolvers<void>() };
    this.#current = current;
    const { observer, machine } = this.#place;
    observer.began(this.key, turn, machine);
    void this.#run(current)
      .catch(() => {})
      .finally(() => {
        observer.ended(this.key, machine);
        if (this.#current === current) this.#current = undefined;
        current.over.resolve();
        this.#next();
      });
  }

  async #run({ turn, cut: { signal } }: Current): Promise<void> {
    const { machine, chance, stepMs, observer } = this.#place;
    const step = (): Promise<void> => pause(machine, chance.between(1, stepMs), { signal });
    try {
      await this.#write([{ type: "turn_begun", turn, promptId: `${turn} prompt`, attempt: 1 }]);
    } catch (error) {
      if (!isStorageFault(error)) throw error;
      if (this.#state === "here") this.#queue.unshift(turn);
      return;
    }
    await step();
    if (!signal.aborted) await this.#record([{ type: "turn_touched", turn }]);
    for (let left = chance.below(4); left > 0 && !signal.aborted; left--) await step();
    if (!signal.aborted) observer.finished(turn, machine);
    await this.#end(turn, signal.aborted ? "interrupted" : "completed");
  }

  async #end(turn: string, state: Outcome): Promise<void> {
    const event = { session: this.key, number: ++this.#number, at: 0, type: "turn_ended", body: { turn } };
    const day = "2026-11-30";
    const models = [{ costUsd: COST_USD, model: "m", usage: USAGE }];
    const spent: Change = { type: "spent", supervisor: "app", session: this.key, day, models };
    await this.#record([
      { type: "event_appended", event },
      { type: "turn_ended", turn, state, at: 0, outcome: { state } },
      ...(state === "completed" ? [spent] : []),
    ]);
    this.#ended.get(turn)?.resolve(state);
  }

  #write(changes: readonly Change[]): Promise<void> {
    return this.#place.writer.write(changes, { durable: true, session: this.key });
  }

  #record(changes: readonly Change[]): Promise<void> {
    return this.#place.writer.record(changes, { durable: true, session: this.key });
  }

  async #read<Value>(read: () => Promise<Value>): Promise<Value | undefined> {
    for (const round = this.#round; round === this.#round; ) {
      try {
        return await read();
      } catch (error) {
        if (CastellanError.is(error, "NOT_OWNER")) return undefined;
        await pause(this.#place.machine, 20);
      }
    }
    return undefined;
  }
}

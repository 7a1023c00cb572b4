import type { JournalApplication } from "./journal-application.ts";
import type { End, Report } from "./journal-host.ts";
import type { Ask } from "./kill-moment.ts";

export const SESSIONS = ["left", "right"] as const;

/** The most turns that are pending at a time, so that the last run of the application need not do them all. */
const MOST_OPEN = 8;

/** A turn that the application was asked for. */
export interface AskedTurn {
  readonly key: string;
  readonly session: string;
  readonly prompt: string;
  readonly how: Ask["how"];
  /** How often it was asked for. An unacknowledged turn is asked for again, by its key. */
  asked: number;
  /** Whether only a later request was acknowledged, so that other turns may have overtaken it. */
  late: boolean;
  /** Whether its end was unknown when an application was told to stop. */
  stopped: boolean;
  /** The id of each acknowledgement. */
  readonly ids: string[];
  /** Each report of its end. */
  readonly ends: End[];
}

/** The turns of a caller whose application dies repeatedly. */
export class AskedTurns {
  readonly #turns = new Map<string, AskedTurn>();
  /** The keys whose end the current application was asked for, and has not reported. */
  readonly #awaited = new Set<string>();

  /** The enqueued turns. */
  get enqueued(): AskedTurn[] {
    return [...this.#turns.values()].filter(({ how }) => how === "enqueue");
  }

  /** The enqueued turns that were acknowledged. */
  get acknowledged(): AskedTurn[] {
    return this.enqueued.filter(({ ids }) => ids.length > 0);
  }

  /** Whether the current application has reported everything that it was asked for. */
  get done(): boolean {
    return this.#awaited.size === 0;
  }

  [Symbol.iterator](): IterableIterator<AskedTurn> {
    return this.#turns.values();
  }

  ask(application: JournalApplication, asks: readonly Ask[]): void {
    for (const { session: index, how, what } of asks) {
      if (this.#open.length >= MOST_OPEN) return;
      const key = `k${this.#turns.size}`;
      const session = SESSIONS[index] ?? SESSIONS[0];
      const fresh = { asked: 0, late: false, stopped: false, ids: [], ends: [] };
      const turn: AskedTurn = { key, session, prompt: `${what} ${key}`, how, ...fresh };
      this.#turns.set(key, turn);
      this.order(application, turn);
    }
  }

  /** Asks the next application again for unacknowledged turns, and watches the acknowledged ones. */
  askAgain(application: JournalApplication): void {
    this.#awaited.clear();
    for (const turn of this.#open) {
      if (turn.ids.length === 0) this.order(application, turn);
      else this.watch(application, turn);
    }
  }

  order(application: JournalApplication, turn: AskedTurn): void {
    const { session, key, prompt } = turn;
    turn.asked += 1;
    this.#awaited.add(key);
    application.order({ do: turn.how, session, key, prompt });
  }

  watch(application: JournalApplication, { session, key, ids: [id = ""] }: AskedTurn): void {
    this.#awaited.add(key);
    application.order({ do: "watch", session, key, id });
  }

  /** Marks the pending turns before the current application is told to stop. */
  stopping(): void {
    for (const key of this.#awaited) {
      const turn = this.#turns.get(key);
      if (turn !== undefined) turn.stopped = true;
    }
  }

  accepted({ key, id }: Extract<Report, { is: "accepted" }>): void {
    const turn = this.#turns.get(key);
    if (turn === undefined) return;
    if (turn.ids.length === 0) turn.late = turn.asked > 1;
    turn.ids.push(id);
  }

  ended({ is: _, key, id, ...end }: Extract<Report, { is: "ended" }>): void {
    this.#awaited.delete(key);
    const turn = this.#turns.get(key);
    // SUPERVISOR_STOPPED ends a turn only for callers of that supervisor. The turn continues in the next run.
    if (turn === undefined || ("code" in end && end.code === "SUPERVISOR_STOPPED")) return;
    if (turn.how === "query") turn.ids.push(id);
    turn.ends.push(end);
  }

  /** The enqueued turns whose end is unknown. */
  get #open(): AskedTurn[] {
    return this.enqueued.filter(({ ends }) => ends.length === 0);
  }
}

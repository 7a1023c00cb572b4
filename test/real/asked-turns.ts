import type { JournalApplication } from "./journal-application.ts";
import type { End, Report } from "./journal-host.ts";
import type { Ask } from "./kill-moment.ts";

/** The sessions of the application. */
export const SESSIONS = ["left", "right"] as const;

/** More turns than these are not left to be done at a time, so that the last life need not do it all. */
const MOST_OPEN = 8;

/** A turn that the application was asked for. */
export interface AskedTurn {
  readonly key: string;
  readonly session: string;
  readonly prompt: string;
  readonly how: Ask["how"];
  /** How often it was asked for; one that was not acknowledged is asked for again, by its key. */
  asked: number;
  /** Whether it was acknowledged only then, and others may have overtaken it. */
  late: boolean;
  /** Whether it had not ended, as far as was known, when an application was told to stop. */
  stopped: boolean;
  /** Each acknowledgement. */
  readonly ids: string[];
  /** Each time that its end was told. */
  readonly ends: End[];
}

/** What a caller knows of its turns who asks an application that dies again and again. */
export class AskedTurns {
  readonly #turns = new Map<string, AskedTurn>();
  /** Those whose end the application that lives now was asked for, and has not told. */
  readonly #awaited = new Set<string>();

  /** Those that are for later. */
  get enqueued(): AskedTurn[] {
    return [...this.#turns.values()].filter(({ how }) => how === "enqueue");
  }

  /** Those of them that were acknowledged. */
  get acknowledged(): AskedTurn[] {
    return this.enqueued.filter(({ ids }) => ids.length > 0);
  }

  /** Whether all has been told that was asked of the application that lives now. */
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

  /** To another application: what was not acknowledged is asked for again, and what was is waited for. */
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

  /** The application that lives is about to be told to stop. */
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
    // With its supervisor a turn ends only for those who hold it there; it goes on in the next life.
    if (turn === undefined || ("code" in end && end.code === "SUPERVISOR_STOPPED")) return;
    if (turn.how === "query") turn.ids.push(id);
    turn.ends.push(end);
  }

  /** Those for later of which it is not known yet how they ended. */
  get #open(): AskedTurn[] {
    return this.enqueued.filter(({ ends }) => ends.length === 0);
  }
}

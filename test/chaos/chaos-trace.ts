import { eventNames, on } from "../../src/events.ts";
import { nameKey, type SessionName } from "../../src/names.ts";

/** How many entries are kept of each session, and how many are shown around a match. */
const KEPT = 10_000;
const TOLD = 40;

interface Entry {
  readonly at: number;
  readonly what: string;
  readonly facts: object;
}

/** The last events of each session of a family, and what the test did to it. */
export class ChaosTrace implements Disposable {
  readonly #since = performance.now();
  readonly #entries = new Map<string, Entry[]>();
  readonly #unsubscribe: readonly (() => void)[];

  constructor(family: string) {
    // Messages are too many. They would leave no room for the other events.
    const names = eventNames.filter((name) => name !== "castellan:session:message");
    this.#unsubscribe = names.map((name) =>
      on(name, (event) => {
        if (!("session" in event) || !("supervisor" in event) || event.session[0] !== family) return;
        const { session, supervisor: _, ...facts } = event;
        this.note(session, name, facts);
      }),
    );
  }

  note(session: SessionName, what: string, facts: object = {}): void {
    const entries = this.#entries.get(nameKey(session)) ?? [];
    this.#entries.set(nameKey(session), entries);
    entries.push({ at: performance.now() - this.#since, what, facts });
    if (entries.length > KEPT) entries.shift();
  }

  /** Returns the last entries of a session, one a line, oldest first. */
  of(session: SessionName): string {
    return this.#lines((this.#entries.get(nameKey(session)) ?? []).slice(-5 * TOLD));
  }

  /** Returns the entries of a session that contain the words, with those before and after, one a line. */
  around(session: SessionName, words: string): string {
    const entries = this.#entries.get(nameKey(session)) ?? [];
    const about = entries.flatMap(({ facts }, index) => (JSON.stringify(facts).includes(words) ? [index] : []));
    return this.#lines(entries.filter((_, index) => about.some((one) => Math.abs(one - index) <= TOLD / 2)));
  }

  #lines(entries: readonly Entry[]): string {
    return entries.map(({ at, what, facts }) => `${at.toFixed(0)} ms ${what} ${JSON.stringify(facts)}`).join("\n");
  }

  [Symbol.dispose](): void {
    for (const unsubscribe of this.#unsubscribe) unsubscribe();
  }
}

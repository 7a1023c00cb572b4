import { Milestones } from "../../src/testing/milestones.ts";

/** Things of several kinds that happen, each of which can be waited for by kind and number. */
export class Signals<Kind extends string> {
  readonly #kinds = new Map<Kind, Milestones<Kind>>();

  reach(kind: Kind): void {
    this.#of(kind).reach(kind);
  }

  /** Resolves at the `n`-th of this kind, counted from 1; at once if it has been. */
  async reached(kind: Kind, n: number): Promise<void> {
    await this.#of(kind).reached(n);
  }

  #of(kind: Kind): Milestones<Kind> {
    const known = this.#kinds.get(kind) ?? new Milestones<Kind>();
    this.#kinds.set(kind, known);
    return known;
  }
}

import { Milestones } from "../../src/testing/milestones.ts";

/** Events of several kinds, each awaited by kind and number. */
export class Signals<Kind extends string> {
  readonly #kinds = new Map<Kind, Milestones<Kind>>();

  reach(kind: Kind): void {
    this.#of(kind).reach(kind);
  }

  /** Resolves at the `n`-th event of this kind, counted from 1. */
  async reached(kind: Kind, n: number): Promise<void> {
    await this.#of(kind).reached(n);
  }

  #of(kind: Kind): Milestones<Kind> {
    const known = this.#kinds.get(kind) ?? new Milestones<Kind>();
    this.#kinds.set(kind, known);
    return known;
  }
}

/** Events in order, which can be awaited by number. */
export class Milestones<T> {
  readonly #reached: T[] = [];
  readonly #waiting = new Map<number, ((value: T) => void)[]>();

  reach(value: T): void {
    this.#reached.push(value);
    const n = this.#reached.length;
    for (const wake of this.#waiting.get(n) ?? []) wake(value);
    this.#waiting.delete(n);
  }

  /** Resolves with the `n`-th event, counted from 1, once it has happened. */
  reached(n: number): Promise<T> {
    const value = this.#reached[n - 1];
    if (value !== undefined) return Promise.resolve(value);
    return new Promise((resolve) => {
      this.#waiting.set(n, [...(this.#waiting.get(n) ?? []), resolve]);
    });
  }
}

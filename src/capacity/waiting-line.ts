/**
 * A waiting line, in order of arrival. Whoever only resumes work of an earlier run of the application, for which nobody waits, lets the
 * first other one pass. Then it is its own turn, so that neither kind starves.
 */
export class WaitingLine<Waiter> {
  readonly #waiting: Waiter[] = [];
  readonly #resumes: (waiter: Waiter) => boolean;
  /** Whether somebody has passed the first one. */
  #passed = false;

  /** @param resumes whether the waiter only resumes earlier work, at this moment */
  constructor(resumes: (waiter: Waiter) => boolean) {
    this.#resumes = resumes;
  }

  get length(): number {
    return this.#waiting.length;
  }

  /** Returns the number of those of a kind. */
  count(isOne: (waiter: Waiter) => boolean): number {
    return this.#waiting.filter(isOne).length;
  }

  join(waiter: Waiter): void {
    this.#waiting.push(waiter);
  }

  leave(waiter: Waiter): void {
    const index = this.#waiting.indexOf(waiter);
    if (index !== -1) this.#waiting.splice(index, 1);
  }

  /** Removes and returns whose turn it is among those that may go; undefined if nobody may. */
  next(mayGo: (waiter: Waiter) => boolean = () => true): Waiter | undefined {
    const first = this.#waiting.find(mayGo);
    if (first === undefined) return undefined;
    const passes = this.#passed || !this.#resumes(first) ? undefined : this.#firstPresent(mayGo);
    const next = passes ?? first;
    this.#passed = passes !== undefined;
    this.leave(next);
    return next;
  }

  #firstPresent(mayGo: (waiter: Waiter) => boolean): Waiter | undefined {
    return this.#waiting.find((waiter) => mayGo(waiter) && !this.#resumes(waiter));
  }
}

/**
 * The sessions that are being erased from a journal, each by one at a time. Nobody takes up what the journal knows of one of them
 * meanwhile.
 */
export class Erasures {
  readonly #last = new Map<string, Promise<void>>();

  /** Resolves when nothing is being erased of the session of this key. */
  async over(key: string): Promise<void> {
    for (let last = this.#last.get(key); last !== undefined; last = this.#last.get(key)) await last;
  }

  /** Resolves when nothing is being erased. */
  async allOver(): Promise<void> {
    while (this.#last.size > 0) await Promise.all(this.#last.values());
  }

  /** Does `work` when those who came before are done. From this call on nobody takes the session up until it has been done. */
  run<Result>(key: string, work: () => Promise<Result>): Promise<Result> {
    const result = (this.#last.get(key) ?? Promise.resolve()).then(work);
    const over = result.then(
      () => {},
      () => {},
    );
    this.#last.set(key, over);
    void over.then(() => {
      if (this.#last.get(key) === over) this.#last.delete(key);
    });
    return result;
  }
}

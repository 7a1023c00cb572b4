/**
 * The sessions that are being erased from a journal. Erasures of one session run one at a time, and the session does
 * not start meanwhile.
 */
export class Erasures {
  readonly #last = new Map<string, Promise<void>>();

  /** Resolves once no erasure of this session is pending. */
  async over(key: string): Promise<void> {
    for (let last = this.#last.get(key); last !== undefined; last = this.#last.get(key)) await last;
  }

  /** Resolves once no erasure is pending. */
  async allOver(): Promise<void> {
    while (this.#last.size > 0) await Promise.all(this.#last.values());
  }

  /** Runs `work` after earlier erasures of the session. The session does not start until `work` is done. */
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

/**
 * The sessions that an earlier owner of the journal still has: their turns run there, and this application writes for
 * them. A session is lent until its borrower returns it, has died, or may have it no longer.
 */
export class Loans {
  readonly #lent = new Map<string, { readonly borrower: string; readonly over: PromiseWithResolvers<void> }>();
  #over: PromiseWithResolvers<void> | undefined;

  /** Lends sessions, by their canonical names. */
  lend(keys: Iterable<string>, borrower: string): void {
    for (const key of keys) this.#lent.set(key, { borrower, over: Promise.withResolvers() });
  }

  get size(): number {
    return this.#lent.size;
  }

  isLent(key: string): boolean {
    return this.#lent.has(key);
  }

  /** Whether this application has the session. */
  isLentTo(key: string, borrower: string): boolean {
    return this.#lent.get(key)?.borrower === borrower;
  }

  /** Whether this application has any session. */
  hasAny(borrower: string): boolean {
    return this.#lent.values().some((loan) => loan.borrower === borrower);
  }

  /** Resolves once the session is not lent. */
  async over(key: string): Promise<void> {
    await this.#lent.get(key)?.over.promise;
  }

  /** Resolves once no session is lent. */
  async allOver(): Promise<void> {
    if (this.#lent.size === 0) return;
    this.#over ??= Promise.withResolvers();
    await this.#over.promise;
  }

  /** Takes back a session; without `key`, all that the borrower has. */
  end(borrower: string, key?: string): void {
    for (const [one, loan] of this.#lent) {
      if (loan.borrower !== borrower || (key !== undefined && one !== key)) continue;
      this.#lent.delete(one);
      loan.over.resolve();
    }
    if (this.#lent.size > 0) return;
    this.#over?.resolve();
    this.#over = undefined;
  }
}

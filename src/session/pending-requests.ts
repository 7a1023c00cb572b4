/** The control requests that need the process of a session. */
export class PendingRequests {
  #count = 0;
  #over: PromiseWithResolvers<void> | undefined;

  /** How many there are at this moment. */
  get count(): number {
    return this.#count;
  }

  /** Whether there is one at this moment. */
  get any(): boolean {
    return this.#count > 0;
  }

  begin(): void {
    this.#count += 1;
  }

  end(): void {
    this.#count -= 1;
    if (this.#count > 0) return;
    this.#over?.resolve();
    this.#over = undefined;
  }

  /** Resolves once there is none. */
  async over(): Promise<void> {
    if (this.#count === 0) return;
    this.#over ??= Promise.withResolvers();
    await this.#over.promise;
  }
}

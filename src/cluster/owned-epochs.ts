/** The sessions that one run of a node owns, with their epochs, and the pools whose jobs it may write. */
export class OwnedEpochs {
  readonly #epochs = new Map<string, number>();
  readonly #pools: ReadonlySet<string>;

  /** @param pools the canonical names of the node's pools. They have no owner: each living node that has them writes their jobs */
  constructor(pools: readonly string[] = []) {
    this.#pools = new Set(pools);
  }

  isPool(key: string): boolean {
    return this.#pools.has(key);
  }

  /** Returns the epoch of the session with this canonical name, or undefined if the run does not own it. */
  epochOf(key: string): number | undefined {
    return this.#epochs.get(key);
  }

  get keys(): readonly string[] {
    return [...this.#epochs.keys()];
  }

  take(key: string, epoch: number): void {
    this.#epochs.set(key, epoch);
  }

  drop(key: string): void {
    this.#epochs.delete(key);
  }

  clear(): void {
    this.#epochs.clear();
  }
}

/** The sessions that one run of a node owns, with their epochs, and the pools whose jobs it may write. */
export class OwnedEpochs {
  readonly #epochs = new Map<string, number>();
  /** The number of sessions of each family, so that a beat does not read all names. */
  readonly #families = new Map<string, number>();
  readonly #pools: ReadonlySet<string>;
  readonly #familyOf: ((key: string) => string) | undefined;

  /**
   * @param pools the canonical names of the node's pools. They have no owner: each living node that has them writes their jobs
   * @param familyOf tells the family of a session by its canonical name. Without it, none is counted
   */
  constructor(pools: readonly string[] = [], familyOf?: (key: string) => string) {
    this.#pools = new Set(pools);
    this.#familyOf = familyOf;
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

  /** The number of owned sessions. */
  get size(): number {
    return this.#epochs.size;
  }

  /** The number of owned sessions of each family. */
  get families(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#families);
  }

  take(key: string, epoch: number): void {
    if (!this.#epochs.has(key)) this.#count(key, 1);
    this.#epochs.set(key, epoch);
  }

  drop(key: string): void {
    if (this.#epochs.delete(key)) this.#count(key, -1);
  }

  clear(): void {
    this.#epochs.clear();
    this.#families.clear();
  }

  #count(key: string, by: number): void {
    const family = this.#familyOf?.(key);
    if (family === undefined) return;
    const count = (this.#families.get(family) ?? 0) + by;
    if (count === 0) this.#families.delete(family);
    else this.#families.set(family, count);
  }
}

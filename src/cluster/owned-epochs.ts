/** The sessions that one run of a node owns, and under which epochs: what journal and transcripts are written under. */
export class OwnedEpochs {
  readonly #epochs = new Map<string, number>();

  /** Under which epoch the session of this canonical name is owned; `undefined` if it is not. */
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

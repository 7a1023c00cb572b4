/**
 * What is known of a key that the API refuses: another process would have another one; or not, and the process with it is in the
 * place of one whose key was refused (`again`), or is not (`same`).
 */
export type RefusedKey = "changed" | "again" | "same";

/**
 * With what the process of a session authenticates, and whether another one would have something else by now. Both are known as
 * digests.
 */
export class SessionKey {
  readonly #now: () => string | undefined;
  #used: string | undefined;
  /** Whether what was used was refused, and what is used next takes its place. */
  #left = false;
  #again = false;

  /** `now` tells what a process would have that is started now, if there is anything that it could have. */
  constructor(now: () => string | undefined) {
    this.#now = now;
  }

  /** What the process has, or the last one had, or one was to have that did not come up. */
  get used(): string | undefined {
    return this.#used;
  }

  /** Whether a process would have something else now. One that could have nothing is not worth a start. */
  get changed(): boolean {
    const now = this.#now();
    return now !== undefined && now !== this.#used;
  }

  /** Whether the variable that is to have the key is not set. */
  get missing(): boolean {
    return this.#now() === undefined;
  }

  get refusal(): RefusedKey {
    if (this.changed) return "changed";
    return this.#again ? "again" : "same";
  }

  /** A process is about to be started; what it really has is known when it is up. */
  starting(): void {
    this.#used = this.#now();
    this.#again = this.#left;
    this.#left = false;
  }

  started(used: string): void {
    this.#used = used;
  }

  /** The API has refused what is used, and another process comes up with something else. */
  leave(): void {
    this.#left = true;
  }
}

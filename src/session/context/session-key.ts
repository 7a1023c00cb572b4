/**
 * The state of an API key that the API refuses. `changed`: a new process would have a different key. `again`: no
 * different key is available, and the process already replaced one whose key was refused. `same`: no different key is
 * available, and it did not.
 */
export type RefusedKey = "changed" | "again" | "same";

/** What a key asks the process of its session. */
export interface KeyedProcess {
  /** A digest of the key that a new process would have, or undefined if there is none. */
  readonly credentials: string | undefined;
}

/** The API key of a session's process, as a digest, and whether a new process would have a different one. */
export class SessionKey {
  readonly #process: KeyedProcess;
  #used: string | undefined;
  /** Whether the API refused the last key and a process with another one is to follow. */
  #refused = false;
  #replaced = false;

  constructor(process: KeyedProcess) {
    this.#process = process;
  }

  /** The key of the current or last process, or of the last start that failed. */
  get used(): string | undefined {
    return this.#used;
  }

  /**
   * Whether a new process would have a different key. False if there would be none: a start without a key is useless.
   */
  get changed(): boolean {
    const now = this.#process.credentials;
    return now !== undefined && now !== this.#used;
  }

  /** Whether the variable that supplies the key is unset. */
  get missing(): boolean {
    return this.#process.credentials === undefined;
  }

  get refusal(): RefusedKey {
    if (this.changed) return "changed";
    return this.#replaced ? "again" : "same";
  }

  /** Records the key that a new process should have; `started` corrects it once the process is up. */
  starting(): void {
    this.#used = this.#process.credentials;
    this.#replaced = this.#refused;
    this.#refused = false;
  }

  started(used: string): void {
    this.#used = used;
  }

  /** Records that the API refused the key and that a process with another one follows. */
  markRefused(): void {
    this.#refused = true;
  }
}

/** How many to remember. */
const MOST = 10_000;

/**
 * The supervisors of the sessions that were saved last. The owner of a file is its only writer, so a session that is saved
 * for the same supervisor again has not moved, which saves a statement per turn.
 */
export class SavedSupervisors {
  readonly #of = new Map<string, string>();

  /** Whether a session may have moved to this supervisor since it was last saved. Takes note of it. */
  mayMove(session: string, supervisor: string): boolean {
    if (this.#of.get(session) === supervisor) return false;
    if (this.#of.size >= MOST) this.#of.clear();
    this.#of.set(session, supervisor);
    return true;
  }

  /** Forgets all: a batch failed, or another owner may have written. */
  clear(): void {
    this.#of.clear();
  }
}

/**
 * Holds a turn back before it begins, until its caller confirms that it still waits for the turn here. So a caller that
 * has not confirmed a turn knows that the turn has not begun, whatever becomes of the process that has it.
 */
export class TurnGate {
  readonly #reached: PromiseWithResolvers<void> = Promise.withResolvers();
  readonly #passed: PromiseWithResolvers<boolean> = Promise.withResolvers();
  #state: "shut" | "open" | "closed" = "shut";

  /** Resolves once the turn could begin. */
  get reached(): Promise<void> {
    return this.#reached.promise;
  }

  /** Resolves with whether the turn may begin: `true` once the gate is open, `false` once it is closed for good. */
  get passed(): Promise<boolean> {
    return this.#passed.promise;
  }

  get isOpen(): boolean {
    return this.#state === "open";
  }

  /** Called when the turn could begin. Resolves as {@link TurnGate.passed}. */
  reach(): Promise<boolean> {
    this.#reached.resolve();
    return this.passed;
  }

  /** Lets the turn begin. Returns whether it may: a closed gate stays closed. */
  open(): boolean {
    if (this.#state === "shut") this.#settle("open");
    return this.isOpen;
  }

  /** Keeps the turn from ever beginning, unless the gate is open. */
  close(): void {
    if (this.#state === "shut") this.#settle("closed");
  }

  #settle(state: "open" | "closed"): void {
    this.#state = state;
    this.#passed.resolve(state === "open");
  }
}

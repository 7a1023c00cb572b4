import type { SessionState } from "./session-state.ts";

/** A state that a session is waited for to reach. Each time that it has left it, it is waited for anew. */
export class StateMilestone {
  readonly #reached: (state: SessionState) => boolean;
  #pending: PromiseWithResolvers<SessionState> | undefined;
  #state: SessionState;

  /** `state` is the one that the session is in. */
  constructor(state: SessionState, reached: (state: SessionState) => boolean) {
    this.#state = state;
    this.#reached = reached;
  }

  /** The session is in this state now. */
  see(state: SessionState): void {
    this.#state = state;
    if (!this.#reached(state)) return;
    this.#pending?.resolve(state);
    this.#pending = undefined;
  }

  /** Resolves with the state in which it is reached; at once if it is. */
  async wait(): Promise<SessionState> {
    if (this.#reached(this.#state)) return this.#state;
    this.#pending ??= Promise.withResolvers();
    return await this.#pending.promise;
  }
}

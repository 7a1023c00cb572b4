import type { Ground } from "./ground.ts";

/** A way to have conversations with Claude, to be measured against others. */
export interface Contender {
  readonly name: string;
  /** Begins so many conversations, each with a process of its own, and resolves when all are up. */
  open(ground: Ground, sessions: number): Promise<Conversations>;
}

export interface Conversations {
  /** Asks one of them, by its index, and resolves when the answer is there. */
  ask(session: number, prompt: string): Promise<void>;
  /** Asks, and reads each message of the answer as it comes. Says how many there were. */
  read(session: number, prompt: string): Promise<number>;
  /** Ends them, and resolves when nothing of them is left. */
  close(): Promise<void>;
}

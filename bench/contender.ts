import type { Backend } from "./backend.ts";

/** An implementation of conversations with Claude, to compare to others. */
export interface Contender {
  readonly name: string;
  /** Begins `sessions` conversations, each with its own process. Resolves once all are ready. */
  open(backend: Backend, sessions: number): Promise<Conversations>;
}

export interface Conversations {
  /** Sends a prompt to a conversation, by its index. Resolves with the answer. */
  ask(session: number, prompt: string): Promise<void>;
  /** Sends a prompt and reads the messages of the answer as they arrive. Resolves with their number. */
  read(session: number, prompt: string): Promise<number>;
  /** Ends all conversations. Resolves once their processes are gone. */
  close(): Promise<void>;
}

/** Shared by all copies of this package in the process. */
const CLAIMS = Symbol.for("castellan.conversations.1");

/**
 * Which session of this process has which conversation. A conversation has one writer, so two sessions never have the same,
 * be it by name, by `resume`, by `sessionId`, or because Claude Code moved there.
 */
export class ConversationClaims {
  readonly #holders: Map<string, string>;

  constructor() {
    const existing = Reflect.get(globalThis, CLAIMS) as Map<string, string> | undefined;
    this.#holders = existing ?? new Map();
    Reflect.set(globalThis, CLAIMS, this.#holders);
  }

  /** Takes a conversation for the session with this key. The key of another session that has it, if there is one. */
  claim(conversation: string, session: string): string | undefined {
    const holder = this.#holders.get(conversation);
    if (holder !== undefined && holder !== session) return holder;
    this.#holders.set(conversation, session);
    return undefined;
  }

  /** Gives a conversation up, if it is this session's. */
  release(conversation: string, session: string): void {
    if (this.#holders.get(conversation) === session) this.#holders.delete(conversation);
  }
}

export const conversationClaims: ConversationClaims = new ConversationClaims();

/** All copies of this package in the process share it. */
const CLAIMS = Symbol.for("castellan.conversations.1");

/**
 * Which session of this process uses which conversation. A conversation has one writer, so two sessions never share
 * one, whether through a name, `resume`, `sessionId`, or a switch by Claude Code.
 */
export class ConversationClaims {
  readonly #holders: Map<string, string>;

  constructor() {
    const existing = Reflect.get(globalThis, CLAIMS) as Map<string, string> | undefined;
    this.#holders = existing ?? new Map();
    Reflect.set(globalThis, CLAIMS, this.#holders);
  }

  /**
   * Claims a conversation for the session with this key. Returns the key of another session that has it, or undefined.
   */
  claim(conversation: string, session: string): string | undefined {
    const holder = this.#holders.get(conversation);
    if (holder !== undefined && holder !== session) return holder;
    this.#holders.set(conversation, session);
    return undefined;
  }

  /** Releases a conversation if this session has it. */
  release(conversation: string, session: string): void {
    if (this.#holders.get(conversation) === session) this.#holders.delete(conversation);
  }
}

export const conversationClaims: ConversationClaims = new ConversationClaims();

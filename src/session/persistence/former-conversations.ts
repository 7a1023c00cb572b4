import type { Change } from "../../journal/model/change.ts";
import type { ConversationEntry } from "../../journal/model/conversation-entry.ts";
import { Belongings, type BelongingsSource } from "./belongings.ts";
import { removeBelongings } from "./erasure.ts";
import type { SupervisorJournal } from "./supervisor-journal.ts";

/** How many conversations that a session has left are kept, and how often it is looked for those that are too many. */
const MOST_KEPT = 1_000;
const LOOKED_EVERY = 100;

/**
 * Sees to it that the conversations that a session has left do not become ever more: what is left of the oldest is removed, and the
 * journal forgets them.
 */
export class FormerConversations {
  readonly #key: string;
  readonly #supervisorJournal: SupervisorJournal;
  readonly #source: () => BelongingsSource;
  readonly #newId: () => string;
  #left = 0;

  /** `source` tells with what processes are started. */
  constructor(key: string, supervisorJournal: SupervisorJournal, source: () => BelongingsSource, newId: () => string) {
    this.#key = key;
    this.#supervisorJournal = supervisorJournal;
    this.#source = source;
    this.#newId = newId;
  }

  /** The session has left one more. */
  left(): void {
    // What cannot be removed now is removed another time.
    if (this.#left++ % LOOKED_EVERY === 0) void this.trim().catch(() => {});
  }

  /** Resolves when no more are kept than may be. @throws CastellanError as `removeBelongings`, `JOURNAL_UNAVAILABLE` */
  async trim(): Promise<void> {
    const [key, supervisorJournal] = [this.#key, this.#supervisorJournal];
    await supervisorJournal.erasures.run(key, async () => {
      const { entry, left } = await supervisorJournal.conversations(key);
      const tooMany = tooManyOf(left, entry?.conversationId);
      if (tooMany.size === 0) return;
      const old = left.filter(({ conversationId }) => tooMany.has(conversationId));
      const belongings = await Belongings.of({ entry: undefined, left: old }, this.#source());
      await removeBelongings(belongings, { key, memory: false, id: this.#newId() });
      const changes = [...tooMany].map(
        (conversationId): Change => ({ type: "conversation_erased", session: key, conversationId }),
      );
      await supervisorJournal.writer?.write(changes, { session: key });
    });
  }
}

/** The oldest, by when each was left last. */
function tooManyOf(left: readonly ConversationEntry[], present: string | undefined): Set<string> {
  const ids = new Set<string>();
  for (const { conversationId } of left.toReversed()) if (conversationId !== present) ids.add(conversationId);
  return new Set([...ids].slice(MOST_KEPT));
}

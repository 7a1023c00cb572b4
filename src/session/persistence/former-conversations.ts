import { withoutUndefined } from "../../fields.ts";
import type { Change } from "../../journal/model/change.ts";
import type { ConversationEntry } from "../../journal/model/conversation-entry.ts";
import { Belongings, type BelongingsSource } from "./belongings.ts";
import { removeBelongings } from "./erasure.ts";
import type { SupervisorJournal } from "./supervisor-journal.ts";

/** How many former conversations to keep, and after how many new ones to trim them. */
const MOST_KEPT = 1_000;
const LOOKED_EVERY = 100;

/** Bounds the number of former conversations of a session: removes the files and journal entries of the oldest. */
export class FormerConversations {
  readonly #key: string;
  readonly #supervisorJournal: SupervisorJournal;
  readonly #source: () => BelongingsSource;
  readonly #newId: () => string;
  #count = 0;

  /** `source` returns how processes are started. */
  constructor(key: string, supervisorJournal: SupervisorJournal, source: () => BelongingsSource, newId: () => string) {
    this.#key = key;
    this.#supervisorJournal = supervisorJournal;
    this.#source = source;
    this.#newId = newId;
  }

  /** Records that the session left a conversation. */
  left(): void {
    // The next trim retries a failed removal.
    if (this.#count++ % LOOKED_EVERY === 0) void this.trim().catch(() => {});
  }

  /**
   * Removes all former conversations above the bound.
   *
   * @throws CastellanError as `removeBelongings`, `JOURNAL_UNAVAILABLE`
   */
  async trim(): Promise<void> {
    const [key, supervisorJournal] = [this.#key, this.#supervisorJournal];
    await supervisorJournal.erasures.run(key, async () => {
      const { entry, left } = await supervisorJournal.conversations(key);
      const tooMany = tooManyOf(left, entry?.conversationId);
      if (tooMany.size === 0) return;
      const old = left.filter(({ conversationId }) => tooMany.has(conversationId));
      const { sdk, ...source } = this.#source();
      const sessionStore = sdk.sessionStore ?? supervisorJournal.formerTranscripts;
      const belongings = await Belongings.of(
        { entry: undefined, left: old },
        { ...source, sdk: { ...sdk, ...withoutUndefined({ sessionStore }) } },
      );
      await removeBelongings(belongings, { key, memory: false, id: this.#newId() });
      const changes = [...tooMany].map(
        (conversationId): Change => ({ type: "conversation_erased", session: key, conversationId }),
      );
      await supervisorJournal.writer?.write(changes, { session: key });
    });
  }
}

/** Returns the conversations above the bound, by the time each was last left. */
function tooManyOf(left: readonly ConversationEntry[], present: string | undefined): Set<string> {
  const ids = new Set<string>();
  for (const { conversationId } of left.toReversed()) if (conversationId !== present) ids.add(conversationId);
  return new Set([...ids].slice(MOST_KEPT));
}

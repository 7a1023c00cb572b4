import { writeFault } from "../journal/model/journal-errors.ts";
import type { NoteOptions } from "./options/note.ts";
import type { DescribeOptions } from "./persistence/live-description.ts";
import type { SessionCore } from "./session-core.ts";

/** Changes what lists show of a session, and adds the application's notes to its record. */
export class Describing {
  readonly #core: SessionCore;
  readonly #hibernate: () => Promise<void>;

  /** @param hibernate ends the process of an idle session */
  constructor(core: SessionCore, hibernate: () => Promise<void>) {
    this.#core = core;
    this.#hibernate = hibernate;
  }

  /**
   * Ends the process first if the session is to be archived.
   *
   * @throws CastellanError `SESSION_BUSY` if it is to be archived and is busy; `INVALID_OPTIONS`, `JOURNAL_UNAVAILABLE`,
   * `NOT_OWNER`
   */
  async describe(options: DescribeOptions): Promise<void> {
    const { journal, conversation, context } = this.#core;
    // A session that is stopped or quarantined has no process.
    if (options.archived === true && this.#core.refusal() === undefined) await this.#hibernate();
    journal.description.describe(options, context.who);
    if (options.archived === false) journal.description.unarchive();
    // A process that comes up later ends the archiving.
    if (options.archived === true) journal.description.archive(context.clock.now());
    await conversation.saveNow();
  }

  /**
   * Adds a note to the record. Returns its id once it is written, after five seconds at the latest.
   *
   * @throws CastellanError `JOURNAL_UNAVAILABLE`, `NOT_OWNER`
   */
  async note(note: NoteOptions): Promise<string> {
    const { journal, context } = this.#core;
    if (journal.fault !== undefined) throw writeFault(journal.fault, "of the session");
    const id = context.newId();
    await journal.appendNow({ type: "noted", id, ...note });
    return id;
  }
}

import type { TurnEntry } from "../journal/model/turn-entry.ts";
import { invalidOptions } from "./options/validation.ts";
import type { SessionJournal } from "./persistence/session-journal.ts";
import type { TurnRecord } from "./streams/turn-record.ts";
import type { Dispatcher } from "./turns/dispatcher.ts";
import { summaryOf, summaryOfOwn, type TurnListQuery, type TurnSummary } from "./turns/turn-summary.ts";

/** Lists the turns of a session: those of the journal, with what is known of them in this process. */
export class TurnList {
  readonly #who: string;
  readonly #journal: SessionJournal;
  readonly #dispatcher: Dispatcher;

  /** `who` names the session in messages. */
  constructor(who: string, journal: SessionJournal, dispatcher: Dispatcher) {
    this.#who = who;
    this.#journal = journal;
    this.#dispatcher = dispatcher;
  }

  /** The running turn, if any. */
  get current(): TurnRecord | undefined {
    return this.#dispatcher.running?.record;
  }

  /**
   * Returns a page of turns, the newest first.
   *
   * @throws CastellanError `JOURNAL_UNAVAILABLE`; `INVALID_OPTIONS` if `before` is not a turn of the session
   */
  async page({ states, before, limit }: TurnListQuery): Promise<TurnSummary[]> {
    const isWanted = ({ state }: TurnSummary): boolean => states?.includes(state) ?? true;
    const own = this.#own();
    const isFirstPage = before === undefined || before === own?.id;
    const first = own !== undefined && before === undefined && isWanted(own) ? [own] : [];
    if (first.length === limit) return first;
    for (let from = isFirstPage ? undefined : before; ; ) {
      const entries = await this.#entries(states, from, limit - first.length);
      const turns = entries.map((entry) => summaryOf(entry, this.#dispatcher.intake.find(entry.id)));
      // It may have ended during the read.
      const listed = turns.filter((turn) => isWanted(turn) && turn.id !== first[0]?.id);
      const last = entries.at(-1);
      if (first.length + listed.length > 0) return [...first, ...listed];
      if (last === undefined) {
        if (!isFirstPage) await this.#refuseUnknown(before);
        return [];
      }
      // All of these have changed their state since, so the page continues.
      from = last.id;
    }
  }

  async #entries(
    states: TurnListQuery["states"],
    before: string | undefined,
    limit: number,
  ): Promise<readonly TurnEntry[]> {
    return await this.#journal.written.turns({
      ...(states !== undefined && { states }),
      ...(before !== undefined && { before }),
      limit,
    });
  }

  /** The running turn that Claude Code began by itself, if any. The journal has it once it has ended. */
  #own(): TurnSummary | undefined {
    const record = this.current;
    return record === undefined || record.origin === "caller" || record.ended ? undefined : summaryOfOwn(record);
  }

  /** An unknown turn has no page before it, which must not look like the end of the list. */
  async #refuseUnknown(before: string): Promise<void> {
    if ((await this.#journal.findWritten(before)) !== undefined) return;
    const message = "is not the id of a turn that the journal keeps of this session; begin again with the newest turns";
    throw invalidOptions(`turns of ${this.#who}`, [{ field: "before", message }]);
  }
}

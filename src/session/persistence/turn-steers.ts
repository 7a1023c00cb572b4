import { withoutUndefined } from "../../fields.ts";
import type { EventEntry } from "../../journal/model/event-entry.ts";
import { isDamage } from "../../journal/model/journal-errors.ts";
import type { TurnEntry } from "../../journal/model/turn-entry.ts";
import { readEvent } from "../record/event-schemas.ts";
import type { Steer } from "../streams/steers.ts";
import type { SessionJournal } from "./session-journal.ts";

/** How many events to read at a time. */
const PAGE = 1_000;

/** The messages that a turn was given, and the ids of those that the model got in the turn's last attempt. */
export interface TurnSteers {
  readonly steers: readonly Steer[];
  readonly read: ReadonlySet<string>;
}

export const NO_STEERS: TurnSteers = { steers: [], read: new Set() };

/**
 * Returns the messages that unfinished turns of the session were given, by the turns' ids.
 *
 * @throws CastellanError `JOURNAL_UNAVAILABLE`
 */
export async function steersOf(
  journal: SessionJournal,
  turns: readonly TurnEntry[],
): Promise<ReadonlyMap<string, TurnSteers>> {
  const found = new Map<string, { readonly steers: Steer[]; readonly read: Set<string> }>();
  try {
    for await (const event of steerEvents(journal, turns)) {
      const { turn = "" } = event;
      const given = found.get(turn) ?? { steers: [], read: new Set() };
      found.set(turn, given);
      const read = readEvent(event);
      if (read.type === "turn_retried") given.read.clear();
      if (read.type === "steer_settled") given.read.add(read.id);
      if (read.type !== "steered") continue;
      const { id, by, text } = read;
      const content = typeof text === "string" ? undefined : await journal.content(text.$content);
      const whole = typeof text === "string" ? text : new TextDecoder().decode(content?.data);
      given.steers.push({ id, text: whole, ...withoutUndefined({ by }) });
    }
  } catch (error) {
    // The turns can do without.
    if (!isDamage(error)) throw error;
  }
  return found;
}

/** Reads the part of the record that begins with the turn that was accepted first. */
async function* steerEvents(
  journal: SessionJournal,
  turns: readonly TurnEntry[],
): AsyncGenerator<EventEntry, void, undefined> {
  const [oldest] = turns.toSorted((one, other) => one.acceptedAt - other.acceptedAt);
  // A name without events has nothing to read, which matters at the start of many names.
  if (oldest === undefined || journal.record.tail.opened === 0) return;
  const [first] = await journal.events({ turn: oldest.id, limit: 1 });
  const types = ["steered", "steer_settled", "turn_retried"];
  let after = (first?.number ?? 1) - 1;
  for (;;) {
    const page = await journal.events({ types, after, limit: PAGE });
    yield* page;
    const last = page.at(-1);
    if (last === undefined) return;
    after = last.number;
  }
}

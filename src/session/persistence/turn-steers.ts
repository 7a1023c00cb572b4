import { withoutUndefined } from "../../fields.ts";
import { isDamage } from "../../journal/model/journal-errors.ts";
import { readEvent } from "../record/event-schemas.ts";
import type { Steer } from "../streams/steers.ts";
import type { SessionJournal } from "./session-journal.ts";

/** How many events of a turn's messages to read. A turn takes a hundred messages, and has few attempts. */
const MOST_EVENTS = 1_000;

/** The messages that a turn was given, and the ids of those that the model got in the turn's last attempt. */
export interface TurnSteers {
  readonly steers: readonly Steer[];
  readonly read: ReadonlySet<string>;
}

/** Returns the messages that an unfinished turn was given. @throws CastellanError `JOURNAL_UNAVAILABLE` */
export async function steersOf(journal: SessionJournal, turn: string): Promise<TurnSteers> {
  const steers: Steer[] = [];
  const read = new Set<string>();
  // A name without events has nothing to read, which matters at the start of many names.
  if (journal.record.tail.opened === 0) return { steers, read };
  const types = ["steered", "steer_settled", "turn_retried"];
  const events = await journal.events({ turn, types, limit: MOST_EVENTS }).catch((error: unknown) => {
    // The turn can do without.
    if (!isDamage(error)) throw error;
    return [];
  });
  for (const event of events.map(readEvent)) {
    if (event.type === "turn_retried") read.clear();
    if (event.type === "steer_settled") read.add(event.id);
    if (event.type !== "steered") continue;
    const { id, by, text } = event;
    const content = typeof text === "string" ? undefined : await journal.content(text.$content);
    const whole = typeof text === "string" ? text : new TextDecoder().decode(content?.data);
    steers.push({ id, text: whole, ...withoutUndefined({ by }) });
  }
  return { steers, read };
}

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

/** The events that tell of messages to turns. */
const TYPES = ["steered", "steer_settled", "turn_retried"];

/**
 * Returns the messages that unfinished turns of the session were given, by the turns' ids. Without those that are damaged, which the
 * turns can do without.
 *
 * @param turns in the order of the journal: the running one first, then in the order in which they wait
 * @throws CastellanError `JOURNAL_UNAVAILABLE`
 */
export async function steersOf(
  journal: SessionJournal,
  turns: readonly TurnEntry[],
): Promise<ReadonlyMap<string, TurnSteers>> {
  // A name without events has nothing to read, which matters at the start of many names.
  if (turns.length === 0 || journal.record.opened === 0) return new Map();
  const all = await unlessDamaged(async () => await readSteers(journal, steerEvents(journal, turns)));
  if (all !== undefined) return all;
  // The damage may be beside most turns.
  const found = new Map<string, TurnSteers>();
  for (const { id } of turns) {
    const own = await unlessDamaged(async () => await readSteers(journal, pagesOf(journal, { turn: id })));
    for (const [turn, steers] of own ?? []) found.set(turn, steers);
  }
  return found;
}

async function readSteers(
  journal: SessionJournal,
  events: AsyncIterable<EventEntry>,
): Promise<ReadonlyMap<string, TurnSteers>> {
  const found = new Map<string, { readonly steers: Steer[]; readonly read: Set<string> }>();
  for await (const event of events) {
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
  return found;
}

/** Reads the part of the record that begins with the turn that was accepted first. */
async function* steerEvents(
  journal: SessionJournal,
  turns: readonly TurnEntry[],
): AsyncGenerator<EventEntry, void, undefined> {
  const [oldest] = turns.toSorted((one, other) => one.acceptedAt - other.acceptedAt);
  // The time of day may have been set back, and a turn that Claude Code began by itself runs before those that were accepted earlier.
  const first = [
    oldest,
    turns.find(({ state }) => state === "running"),
    turns.find(({ state }) => state !== "running"),
  ];
  const ids = new Set(first.flatMap((turn) => turn?.id ?? []));
  const events = await Promise.all([...ids].map((turn) => journal.events({ turn, limit: 1 })));
  const numbers = events.flat().map(({ number }) => number);
  yield* pagesOf(journal, {}, numbers.length === 0 ? 0 : Math.min(...numbers) - 1);
}

async function* pagesOf(
  journal: SessionJournal,
  of: { readonly turn?: string },
  begin = 0,
): AsyncGenerator<EventEntry, void, undefined> {
  let after = begin;
  for (;;) {
    const page = await journal.events({ ...of, types: TYPES, after, limit: PAGE });
    yield* page;
    const last = page.at(-1);
    if (last === undefined) return;
    after = last.number;
  }
}

async function unlessDamaged<Value>(read: () => Promise<Value>): Promise<Value | undefined> {
  try {
    return await read();
  } catch (error) {
    if (!isDamage(error)) throw error;
    return undefined;
  }
}

import { sizeOf } from "../../claude/messages/message-size.ts";
import { withoutUndefined } from "../../fields.ts";
import type { EventExtent } from "../../journal/model/event-entry.ts";
import type { EventPageOptions } from "./event-readers.ts";
import type { HistoryEntry, HistoryGap, HistoryOptions, HistoryPage, SessionHappening } from "./history-entry.ts";
import { foldTurn } from "./history-turn.ts";
import type { RecordedEvent, RecordedEventType } from "./session-event-types.ts";

/** How many events of the outline, and of a turn, to read at a time. */
const OUTLINE_PAGE = 200;
const TURN_PAGE = 500;

/** How many reads a turn may take: 2,000 events, or less if they are large. */
const MOST_READS = 4;

/** How many entries besides turns a page has at most. */
const MOST_HAPPENINGS = 500;

/** The size in characters beyond which a page has no further turn. */
const MOST_SIZE = 4 * 1024 ** 2;

const ANCHORS = ["turn_accepted", "turn_started", "turn_ended"] as const satisfies RecordedEventType[];
const HAPPENINGS: readonly SessionHappening["type"][] = [
  "conversation",
  "compacted",
  "exit",
  "quarantined",
  "model_changed",
  "permission_mode_changed",
  "fault",
  "lost",
];
const OUTLINE: readonly RecordedEventType[] = [...ANCHORS, ...HAPPENINGS];
/** What may matter of a turn's events before its last attempt. */
const BEFORE_START: readonly RecordedEventType[] = [
  "turn_accepted",
  "turn_started",
  "turn_retried",
  "steered",
  "steer_settled",
];

type EventOf<Type extends RecordedEvent["type"]> = Extract<RecordedEvent, { readonly type: Type }>;

/** How to read a session's record and turns. All fail with `JOURNAL_UNAVAILABLE`. */
export interface HistoryReads {
  /** Returns recorded events, the last one first. */
  page(options: EventPageOptions): Promise<readonly RecordedEvent[]>;
  extent(): Promise<EventExtent | undefined>;
  /** Returns the acceptance of a turn from the turn itself, because the event is gone. `number` is that of the event. */
  accepted(turn: string, number: number): Promise<EventOf<"turn_accepted"> | undefined>;
  /** Returns the end of a turn from the turn itself; undefined if it has not ended, or is gone. */
  ended(turn: string, number: number): Promise<EventOf<"turn_ended"> | undefined>;
}

/** A turn of a page, by the number at which it belongs there. */
interface Anchor {
  readonly turn: string;
  readonly number: number;
  /** Whether the event of its acceptance is kept. */
  readonly isKept: boolean;
}

/** An entry, and where it stands among the others. */
interface Placed {
  readonly entry: HistoryEntry;
  /** Number of the event that puts it into its page. */
  readonly number: number;
  readonly position: number;
}

/**
 * Reads a page of a session's history. A turn belongs to the page of its acceptance, so that pages have each turn once, and stands there
 * where it began to run.
 *
 * @param current the running turn, if any
 * @throws CastellanError `JOURNAL_UNAVAILABLE`
 */
export async function readHistory(
  reads: HistoryReads,
  { before = Number.POSITIVE_INFINITY, limit = 20, thinking = false }: HistoryOptions,
  current: string | undefined,
): Promise<HistoryPage> {
  const outline = await readOutline(reads, before, limit);
  const running = before === Number.POSITIVE_INFINITY ? current : undefined;
  const anchors = [...outline.anchors, ...(await withoutAcceptance(reads, outline, running))];
  let { low } = outline;
  let size = 0;
  const placed: Placed[] = [];
  for (const anchor of anchors.toSorted((one, other) => other.number - one.number)) {
    if (anchor.number < low) break;
    const { turn, position, read } = await readTurn(reads, anchor, thinking);
    placed.push({ entry: turn, number: anchor.number, position });
    size += read;
    // The next page continues before this turn.
    if (size > MOST_SIZE) low = anchor.number;
  }
  for (const entry of outline.happenings) placed.push({ entry, number: entry.number, position: entry.number });
  const entries = placed
    .filter(({ number }) => number >= low)
    .toSorted((one, other) => one.position - other.position || one.number - other.number)
    .map(({ entry }) => entry);
  const first = (await reads.extent())?.first ?? 1;
  if (!outline.isEnd || low > outline.low) return { entries, next: low };
  return { entries: first > 1 ? [{ type: "pruned", oldest: first }, ...entries] : entries };
}

interface Outline {
  readonly anchors: readonly Anchor[];
  /** Turns that began to run, or ended, in the page, and whose acceptance is before it or missing; by their lowest number there. */
  readonly others: ReadonlyMap<string, number>;
  readonly happenings: readonly SessionHappening[];
  /** The lowest number of the page. */
  readonly low: number;
  /** Whether the record has nothing before the page. */
  readonly isEnd: boolean;
}

async function readOutline(reads: HistoryReads, before: number, limit: number): Promise<Outline> {
  const anchors: Anchor[] = [];
  const others = new Map<string, number>();
  const happenings: SessionHappening[] = [];
  const outline = (low: number, isEnd: boolean): Outline => ({ anchors, others, happenings, low, isEnd });
  for (let low = before; ; ) {
    const page = await reads.page({
      types: OUTLINE,
      limit: OUTLINE_PAGE,
      ...(low !== Number.POSITIVE_INFINITY && { before: low }),
    });
    if (page.length === 0) return outline(0, true);
    for (const event of page) {
      if (anchors.length === limit || happenings.length === MOST_HAPPENINGS) return outline(low, false);
      low = event.number;
      if (event.type === "turn_accepted") {
        anchors.push({ turn: event.turnId, number: low, isKept: true });
        others.delete(event.turnId);
      } else if (event.type === "turn_started" || event.type === "turn_ended") others.set(event.turnId, low);
      else if (isHappening(event)) happenings.push(event);
    }
  }
}

function isHappening(event: RecordedEvent): event is SessionHappening {
  if (event.type === "exit") return event.exit.class !== "done";
  // The turn has a gap for those of its own.
  if (event.type === "lost") return event.turnId === undefined;
  return HAPPENINGS.some((type) => type === event.type);
}

/** Returns the turns of the page whose acceptance is no longer kept. Each belongs to its first event in the outline. */
async function withoutAcceptance(
  reads: HistoryReads,
  { others, anchors, low }: Outline,
  running: string | undefined,
): Promise<Anchor[]> {
  const found: Anchor[] = [];
  for (const [turn, number] of others) {
    const [earlier] = await reads.page({ turn, types: ANCHORS, before: number, limit: 1 });
    if (earlier === undefined) found.push({ turn, number, isKept: false });
  }
  const isListed = running === undefined || others.has(running) || anchors.some(({ turn }) => turn === running);
  if (isListed) return found;
  // Of a long turn that runs, retention may leave only the last events.
  const [anchor] = await reads.page({ turn: running, types: ANCHORS, limit: 1 });
  const [last] = anchor === undefined ? await reads.page({ turn: running, limit: 1 }) : [];
  return last === undefined ? found : [...found, { turn: running, number: Math.max(low, last.number), isKept: false }];
}

async function readTurn(
  reads: HistoryReads,
  { turn, number, isKept }: Anchor,
  thinking: boolean,
): Promise<{ readonly turn: ReturnType<typeof foldTurn>; readonly position: number; readonly read: number }> {
  let events = await eventsOf(reads, turn);
  if (!hasEnded(events)) {
    const ended = await reads.ended(turn, number);
    // It may have ended since the first read. If it has not by now, the event of its end is damaged.
    if (ended !== undefined) events = await eventsOf(reads, turn);
    if (ended !== undefined && !hasEnded(events)) events = [...events, NOT_KEPT, ended];
  }
  if (!isKept) {
    const accepted = await reads.accepted(turn, number);
    if (accepted !== undefined) events = [accepted, ...events];
  }
  const started = events.find(({ type }) => type === "turn_started");
  const begun = started ?? (isKept ? events.find(({ type }) => type === "turn_ended") : undefined);
  const queued = isKept ? Number.POSITIVE_INFINITY : number;
  const position = begun !== undefined && "number" in begun ? begun.number : queued;
  return {
    turn: foldTurn(turn, events, { thinking }),
    position,
    read: events.reduce((sum, one) => sum + sizeOf(one), 0),
  };
}

const NOT_KEPT: HistoryGap = { type: "missing", reason: "not_kept" };
const TOO_LONG: HistoryGap = { type: "missing", reason: "too_long" };

function hasEnded(events: readonly (RecordedEvent | HistoryGap)[]): boolean {
  return events.at(-1)?.type === "turn_ended";
}

/** Returns the events of a turn, with gaps where some are missing. Of earlier attempts, only what the turn keeps of them. */
async function eventsOf(reads: HistoryReads, turn: string): Promise<(RecordedEvent | HistoryGap)[]> {
  const found: RecordedEvent[] = [];
  let isWhole = false;
  for (let read = 0; read < MOST_READS && !isWhole; read++) {
    const page = await reads.page({ turn, limit: TURN_PAGE, ...withoutUndefined({ before: found.at(-1)?.number }) });
    if (page.some(({ type }) => type === "turn_accepted") || page.length === 0) {
      found.push(...page);
      return await withGaps(reads, found.reverse());
    }
    const start = page.findIndex(({ type }) => type === "turn_started");
    isWhole = start !== -1;
    found.push(...(isWhole ? page.slice(0, start + 1) : page));
  }
  const last = found.at(-1)?.number ?? 0;
  const earlier = await reads.page({ turn, types: BEFORE_START, before: last, limit: TURN_PAGE });
  const rest = await withGaps(reads, found.reverse());
  return [...earlier.toReversed(), ...(isWhole ? [] : [TOO_LONG]), ...rest];
}

/** Puts gaps where the record lacks events between the start of a turn's last attempt and its end. */
async function withGaps(
  reads: HistoryReads,
  events: readonly RecordedEvent[],
): Promise<(RecordedEvent | HistoryGap)[]> {
  const from = Math.max(
    0,
    events.findLastIndex(({ type }) => type === "turn_started"),
  );
  const own = new Set(events.map(({ number }) => number));
  const isAfterHole = (event: RecordedEvent, index: number): boolean => index > from && !own.has(event.number - 1);
  if (!events.some(isAfterHole)) return [...events];
  // Most holes are events of the session, or of turns that wait.
  const kept = new Set(own);
  const first = events[from]?.number ?? 0;
  for (let before = (events.at(-1)?.number ?? 0) + 1, read = 0; before > first + 1 && read < MOST_READS * 2; read++) {
    const page = await reads.page({ before, limit: TURN_PAGE });
    if (page.length === 0) break;
    for (const { number } of page) kept.add(number);
    before = page.at(-1)?.number ?? 0;
  }
  return events.flatMap((event, index) => (index > from && !kept.has(event.number - 1) ? [NOT_KEPT, event] : [event]));
}

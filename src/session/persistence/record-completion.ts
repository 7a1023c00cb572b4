import { withoutUndefined } from "../../fields.ts";
import type { ApprovalEntry } from "../../journal/model/approval-entry.ts";
import type { Change } from "../../journal/model/change.ts";
import type { EventEntry, EventQuery } from "../../journal/model/event-entry.ts";
import { isDamage } from "../../journal/model/journal-errors.ts";
import type { TurnEntry } from "../../journal/model/turn-entry.ts";
import type { PromptText } from "../options/prompt.ts";
import type { EventDraft } from "../record/session-event-types.ts";
import type { ExtractedDraft } from "../record/session-record.ts";
import { withdrawals } from "./open-approvals.ts";
import { acceptedBefore, ownTurn } from "./turn-events.ts";

/** How many of the latest starts of turns to search for a turn without an end. Few turns run at a time. */
const MOST_RUNNING = 4;

/** How many of the latest ends to compare them to at once. */
const MOST_ENDED = 16;

/** How to read a session's events, its turns and their prompts, and its approvals. */
export interface Reads {
  approvals(limit: number): Promise<ApprovalEntry[]>;
  events(query: Omit<EventQuery, "session">): Promise<EventEntry[]>;
  promptOf(turn: TurnEntry): Promise<PromptText>;
  findWritten(turn: string): Promise<TurnEntry | undefined>;
}

/** What an application found in the journal after the death of an earlier one. */
interface Found {
  readonly session: string;
  /** The turns that continue. */
  readonly unfinished: readonly TurnEntry[];
  /** Whether there may be permission requests that nobody has answered. */
  readonly asks: boolean;
  /** The last number of the record, or undefined if it has no events. */
  readonly recorded: number | undefined;
  /** The time in milliseconds since the epoch. */
  readonly at: number;
}

/** What the record of a session lacks, and the changes that belong to it. */
export interface Missing {
  readonly changes: readonly Change[];
  readonly drafts: readonly (EventDraft | ExtractedDraft)[];
}

const NOTHING: Missing = { changes: [], drafts: [] };

/**
 * Returns the withdrawal of unanswered permission requests, then the acceptance and the last start of unfinished turns that lack them,
 * and the end of turns that ran and are not among them, which Claude Code had begun by itself. Damage may hide what is missing: readers
 * are told of the damage, and the session can do without.
 *
 * @throws CastellanError `JOURNAL_UNAVAILABLE`
 */
export async function missingFrom(journal: Reads, found: Found): Promise<Missing> {
  // Before the ends of their turns.
  const { changes, drafts } = found.asks ? await withdrawals(journal, found.at) : NOTHING;
  try {
    const more = await search(journal, found);
    return { changes: [...changes, ...more.changes], drafts: [...drafts, ...more.drafts] };
  } catch (error) {
    if (!isDamage(error)) throw error;
    return { changes, drafts };
  }
}

async function search(journal: Reads, { session, unfinished, recorded, at }: Found): Promise<Missing> {
  const first = async (turn: string, type: string): Promise<EventEntry | undefined> =>
    recorded === undefined ? undefined : (await journal.events({ turn, types: [type], limit: 1 }))[0];
  const isUnfinished = new Set(unfinished.map(({ id }) => id));
  const drafts: (EventDraft | ExtractedDraft)[] = [];
  const changes: Change[] = [];
  for (const turn of unfinished) {
    const accepted = await first(turn.id, "turn_accepted");
    if (accepted === undefined) drafts.push(acceptedBefore(turn, await journal.promptOf(turn)));
    const { id: turnId, attempts: attempt, promptId } = turn;
    const started = attempt === 0 || recorded === undefined ? 0 : await lastAttempt(journal, turnId, recorded + 1);
    if (started < attempt) drafts.push({ type: "turn_started", turnId, attempt, ...withoutUndefined({ promptId }) });
  }
  for (const turn of recorded === undefined ? [] : await startedLast(journal, recorded + 1)) {
    if (isUnfinished.has(turn) || (await first(turn, "turn_ended")) !== undefined) continue;
    // It has ended, and the event of that is damaged.
    if ((await journal.findWritten(turn)) !== undefined) continue;
    const error = { code: "TURN_INTERRUPTED", message: "the application ended during the turn" };
    drafts.push({ type: "turn_ended", turnId: turn, state: "interrupted", error, cut: true });
    const accepted = await first(turn, "turn_accepted");
    const origin = accepted?.body["origin"] === "schedule" ? "schedule" : "task";
    const outcome = { error: { ...error, details: { turnId: turn, partialText: "", toolUses: [] } } };
    changes.push(
      ...ownTurn({ id: turn, session, origin, acceptedAt: accepted?.at ?? at }, { state: "interrupted", at, outcome }),
    );
  }
  return { changes, drafts };
}

/** Returns the number of the last recorded attempt of a turn, or 0. */
async function lastAttempt(journal: Pick<Reads, "events">, turn: string, before: number): Promise<number> {
  const [started] = await journal.events({ before, turn, types: ["turn_started"], limit: 1 });
  const attempt = started?.body["attempt"];
  return typeof attempt === "number" ? attempt : 0;
}

/** Returns the turns that were started last, without those that were among the last to end. */
async function startedLast(journal: Pick<Reads, "events">, before: number): Promise<string[]> {
  const last = async (type: string, limit: number): Promise<Set<string | undefined>> =>
    new Set((await journal.events({ before, types: [type], limit })).map(({ turn }) => turn));
  const [started, ended] = await Promise.all([last("turn_started", MOST_RUNNING), last("turn_ended", MOST_ENDED)]);
  return [...started].flatMap((turn) => (turn === undefined || ended.has(turn) ? [] : turn));
}

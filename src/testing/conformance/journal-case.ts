import { deepEqual, equal, rejects } from "node:assert/strict";
import { createHash } from "node:crypto";
import type { CastellanError, ErrorCode } from "../../errors.ts";
import type { Change } from "../../journal/model/change.ts";
import type { ConversationEntry } from "../../journal/model/conversation-entry.ts";
import type { ContentEntry, EventEntry, EventRetention } from "../../journal/model/event-entry.ts";
import type { JobEntry } from "../../journal/model/job-entry.ts";
import type { Journal, JournalOwner } from "../../journal/model/journal.ts";
import type { SessionEntry } from "../../journal/model/session-entry.ts";
import type { AcceptedTurn } from "../../journal/model/turn-entry.ts";

/** The environment of a case: a journal that is open for {@link OWNER}. */
export interface JournalBench {
  readonly journal: Journal;
  /** Writes a batch under the next number. */
  write(...changes: Change[]): Promise<void>;
  /** Closes the journal and opens it for {@link OTHER}. Batch numbers begin at 1 again. */
  reopen(): Promise<void>;
}

/** Cases by their names. */
export interface JournalCases {
  readonly [name: string]: (bench: JournalBench) => Promise<void>;
}

export const OWNER: JournalOwner = { id: "first", pid: 101, host: "here", startedAt: 1_700_000_000_000 };
export const OTHER: JournalOwner = { id: "second", pid: 102, host: "here", startedAt: 1_700_000_001_000 };

/** A lone surrogate, the null character that many stores reject, quotes, a path, and SQL. */
export const UNUSUAL: string = "\uD83D|\u0000|'|\"|\\|../%_|😀|\u2028|'); DROP TABLE turns; --";

/** The spender in most cases. */
export const SPENDER: { readonly supervisor: string; readonly session: string } = { supervisor: "s", session: '"a"' };

export function spent(model: string, costUsd: number): Extract<Change, { type: "spent" }>["models"][number] {
  const usage = { inputTokens: 10, outputTokens: 20, cacheReadInputTokens: 30, cacheCreationInputTokens: 3e12 };
  return { model, costUsd, usage };
}

export function session(key: string, changed: Partial<SessionEntry> = {}): SessionEntry {
  return { key, supervisor: "s", conversationId: "c", memory: { kind: "new" }, savedAt: 1_700_000_000_000, ...changed };
}

export function conversation(conversationId: string, changed: Partial<ConversationEntry> = {}): ConversationEntry {
  return { session: '"a"', conversationId, memory: { kind: "kept" }, leftAt: 1_700_000_000_000, ...changed };
}

export function event(number: number, changed: Partial<EventEntry> = {}): EventEntry {
  return {
    session: '"a"',
    number,
    at: 1_700_000_000_000 + number,
    type: "text",
    body: { text: `event ${number}` },
    ...changed,
  };
}

/** Returns the changes that append these events. */
export function appending(...events: readonly EventEntry[]): Change[] {
  return events.map((one): Change => ({ type: "event_appended", event: one }));
}

export function content(data: Uint8Array | string, mediaType?: string): ContentEntry {
  const bytes = typeof data === "string" ? new TextEncoder().encode(data) : data;
  const hash = createHash("sha256").update(bytes).digest("hex");
  return { hash, ...(mediaType !== undefined && { mediaType }), data: bytes };
}

/** Returns the change that appends an event which refers to these contents. */
export function appendingWith(appended: EventEntry, ...contents: readonly ContentEntry[]): Change {
  return { type: "event_appended", event: { ...appended, contents: contents.map(({ hash }) => hash) }, contents };
}

/** Keeps every event. */
export const ALL_EVENTS: EventRetention = {
  since: 0,
  perSession: Number.POSITIVE_INFINITY,
  bytesPerSession: Number.POSITIVE_INFINITY,
};

/** Returns what each session has spent. */
export async function costs(journal: Journal): Promise<[string | undefined, number][]> {
  const entries = await journal.usage({ by: ["session"] });
  return ordered(entries.map(({ session, costUsd }): [string | undefined, number] => [session, costUsd]));
}

export function ordered<Value>(values: readonly Value[]): Value[] {
  return values.toSorted((one, other) => (JSON.stringify(one) < JSON.stringify(other) ? -1 : 1));
}

export function turn(id: string, changed: Partial<AcceptedTurn> = {}): AcceptedTurn {
  return { id, session: '"a"', prompt: "hello", position: 0, durable: true, acceptedAt: 1, ...changed };
}

export function job(id: string, changed: Partial<JobEntry> = {}): JobEntry {
  return { id, session: '"a"', prompt: "hello", dueAt: 10, createdAt: 1, terms: {}, ...changed };
}

export async function refuses(code: ErrorCode, work: () => Promise<unknown>, details?: object): Promise<void> {
  await rejects(work, (error: CastellanError) => {
    equal(error.code, code);
    if (details !== undefined) deepEqual({ ...error.details }, details);
    return true;
  });
}

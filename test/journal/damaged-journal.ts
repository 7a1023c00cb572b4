import { join } from "node:path";
import { onTestFinished } from "vitest";
import type { Change } from "../../src/journal/model/change.ts";
import type { EventEntry, EventQuery } from "../../src/journal/model/event-entry.ts";
import type { Journal } from "../../src/journal/model/journal.ts";
import type { SessionEntry } from "../../src/journal/model/session-entry.ts";
import { ALL_KEYS, type SessionListQuery } from "../../src/journal/model/session-list.ts";
import type { TurnEntry, TurnQuery } from "../../src/journal/model/turn-entry.ts";
import { sqliteJournal } from "../../src/journal/sqlite/sqlite-journal.ts";
import { appendingWith, content, event, job } from "../../src/testing/conformance/journal-case.ts";
import { newFolder, OWNER, turn } from "./sqlite-scene.ts";

/* A journal that a test damages, and every question that it can be asked. */

export const SESSIONS = Array.from({ length: 5 }, (_, number) => `"user ${number}"`);
const TURNS = Array.from({ length: 30 }, (_, number) => ({
  id: `turn-${number}-of-many`,
  session: SESSIONS[number % SESSIONS.length] ?? "",
}));

function changesOf({ id, session }: { readonly id: string; readonly session: string }, number: number): Change[] {
  const usage = { inputTokens: number, outputTokens: 7, cacheReadInputTokens: 1, cacheCreationInputTokens: 0 };
  const whole: Change[] = [
    {
      type: "turn_accepted",
      turn: turn(id, {
        session,
        prompt: `Please do ${number}. `.repeat(9),
        position: number,
        ...(number % 2 === 0 && { metadata: { request: `number ${number}` } }),
      }),
    },
    { type: "turn_begun", turn: id, promptId: `prompt ${number}`, attempt: 1 },
    { type: "turn_touched", turn: id },
    { type: "turn_ended", turn: id, state: "completed", at: 7, outcome: { text: `I did ${number}. `.repeat(9) } },
    { type: "spent", supervisor: "app", session, day: "2026-11-24", models: [{ model: "m", costUsd: 0.1, usage }] },
  ];
  // Some turns wait, some run, some have ended.
  return whole.slice(0, number % 5 === 4 ? 1 : number % 5 === 3 ? 3 : 5);
}

function ofSession(session: string): Change[] {
  const memory = { words: "remember me", generation: 3 };
  return [
    { type: "session_saved", session: { key: session, supervisor: "app", conversationId: "c", memory, savedAt: 1 } },
    {
      type: "session_described",
      session,
      description: {
        createdAt: 3,
        title: `Title of ${session}`,
        labels: { user: `label of ${session}`, plan: "free" },
      },
    },
    { type: "conversation_left", conversation: { session, conversationId: "old", memory, leftAt: 5 } },
    {
      type: "approval_requested",
      approval: { id: `of ${session}`, session, tool: "Bash", input: { command: "ls" }, requestedAt: 4 },
    },
    { type: "approval_settled", approval: `of ${session}`, outcome: "approved", at: 5 },
    { type: "job_saved", job: job(`job of ${session}`, { session, prompt: "Please do it later. ".repeat(9) }) },
    ...[1, 2, 3].map((number): Change => {
      const lines = `{"uuid":"line ${number} of ${session.slice(1, -1)}"}\n`;
      return {
        type: "transcript_appended",
        part: { session, conversationId: `of ${session}`, lines, lastUuid: `${number}` },
      };
    }),
  ];
}

/** Each event is written in a batch of its own, which makes it a row. */
function eventsOf(session: string): Change[][] {
  return [1, 2, 3].map((number) => [
    appendingWith(event(number, { session, turn: `turn of ${session}` }), content(`of ${session} in ${number % 2}`)),
  ]);
}

/** Writes a file with all of these changes, closes it, and returns its path. */
export async function written(): Promise<string> {
  const path = join(newFolder(), "castellan.db");
  const journal = sqliteJournal({ sqlite: path });
  await journal.open(OWNER);
  let number = 0;
  for (const changes of [...SESSIONS.map(ofSession), ...SESSIONS.flatMap(eventsOf), ...TURNS.map(changesOf)]) {
    number += 1;
    await journal.write({ number, changes, durable: false });
  }
  await journal.close();
  return path;
}

/** Reads to the end: a page stops before a damaged event, and the next page tells. */
async function allEvents(journal: Journal, query: Omit<EventQuery, "limit">): Promise<EventEntry[]> {
  const all: EventEntry[] = [];
  for (;;) {
    const page = await journal.events({ ...query, after: all.at(-1)?.number ?? 0, limit: 2 });
    if (page.length === 0) return all;
    all.push(...page);
  }
}

/** As {@link allEvents}. */
async function allTurns(journal: Journal, query: Omit<TurnQuery, "limit">): Promise<TurnEntry[]> {
  const all: TurnEntry[] = [];
  for (;;) {
    const before = all.at(-1)?.id;
    const page = await journal.turns({ ...query, ...(before !== undefined && { before }), limit: 2 });
    if (page.length === 0) return all;
    all.push(...page);
  }
}

/** As {@link allEvents}. */
async function allSessions(journal: Journal, query: Pick<SessionListQuery, "labels">): Promise<SessionEntry[]> {
  const all: SessionEntry[] = [];
  for (;;) {
    const after = all.at(-1)?.key;
    const page = { archived: false, range: ALL_KEYS, limit: 2, ...query, ...(after !== undefined && { after }) };
    const found = await journal.listSessions(page);
    if (found.length === 0) return all;
    all.push(...found);
  }
}

/** Every question that a journal can be asked, asked in order. */
const QUESTIONS: readonly ((journal: Journal) => Promise<unknown>)[] = [
  async (journal) => (await journal.sessions(SESSIONS)).toSorted((a, b) => (a.key < b.key ? -1 : 1)),
  (journal) => journal.unfinishedBeginning('"user'),
  (journal) => allSessions(journal, {}),
  (journal) => allSessions(journal, { labels: { plan: "free" } }),
  async (journal) => (await journal.usage({ label: "user", by: [] })).toSorted((a, b) => Number(a.costUsd - b.costUsd)),
  (journal) => journal.dueBeginning('"user', 1_000),
  async (journal) => (await journal.usage({ by: ["session"] })).toSorted((a, b) => Number(a.costUsd - b.costUsd)),
  ...SESSIONS.flatMap((session) => [
    (journal: Journal) => journal.unfinishedTurns([session]),
    (journal: Journal) => allTurns(journal, { session }),
    (journal: Journal) => allTurns(journal, { session, states: ["completed"] }),
    (journal: Journal) => allTurns(journal, { session, states: ["queued", "running"] }),
    (journal: Journal) => journal.approvals(session, 9),
    (journal: Journal) => journal.conversations(session),
    (journal: Journal) => journal.job(`job of ${session}`),
    (journal: Journal) => Array.fromAsync(journal.jobs(session)),
    (journal: Journal) => Array.fromAsync(journal.records(session)),
    (journal: Journal) => journal.extent(session),
    (journal: Journal) => journal.usage({ session, by: ["day", "model"] }),
    (journal: Journal) => allEvents(journal, { session }),
    (journal: Journal) => allEvents(journal, { session, types: ["text"] }),
    (journal: Journal) => allEvents(journal, { session, turn: `turn of ${session}` }),
    (journal: Journal) => journal.eventExtent(session),
    (journal: Journal) => journal.content(content(`of ${session} in 1`).hash),
    (journal: Journal) => journal.transcripts?.of(`of ${session}`) ?? Promise.resolve([]),
    (journal: Journal) => journal.transcripts?.writtenBy(session) ?? Promise.resolve([]),
    (journal: Journal) => Array.fromAsync(journal.transcripts?.lines({ conversationId: `of ${session}` }) ?? []),
  ]),
  ...TURNS.map(
    ({ id }) =>
      (journal: Journal) =>
        journal.turn(id),
  ),
];

export interface Answers {
  /** In JSON, or the reason of the refusal. */
  readonly answers: readonly (string | { readonly refused: unknown })[];
  readonly damage: string | undefined;
}

export async function readAll(path: string): Promise<Answers | { readonly refused: unknown }> {
  const journal = sqliteJournal({ sqlite: path });
  try {
    await journal.open(OWNER);
    const answers: Answers["answers"][number][] = [];
    for (const ask of QUESTIONS) {
      const answer = await ask(journal).then(
        (value) => JSON.stringify(value) ?? "nothing",
        (error) => ({ refused: error.details.reason }),
      );
      answers.push(answer);
    }
    return { answers, damage: journal.damage };
  } catch (error) {
    return { refused: (error as Error).message };
  } finally {
    await journal.close();
  }
}

export function isReadable(told: Awaited<ReturnType<typeof readAll>>): told is Answers {
  return "answers" in told;
}

/** Collects the process's warnings until the test ends. */
export function warnings(): string[] {
  const heard: string[] = [];
  const hear = (warning: Error): void => void heard.push(warning.message);
  process.on("warning", hear);
  onTestFinished(() => void process.off("warning", hear));
  return heard;
}

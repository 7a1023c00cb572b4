import { expect, test } from "vitest";
import type { EventEntry } from "../../../src/journal/model/event-entry.ts";
import { eventOf, readEvent, recordedEventTypes } from "../../../src/session/record/event-schemas.ts";
import type { EventDraft } from "../../../src/session/record/session-event-types.ts";
import { SessionRecord } from "../../../src/session/record/session-record.ts";

const task = { id: "t1", type: "local_bash", description: "tests", ambient: false };
const usage = { inputTokens: 1, outputTokens: 2, cacheReadInputTokens: 3, cacheCreationInputTokens: 4 };

/** One event of each type, and more where fields may be missing. */
const DRAFTS: readonly EventDraft[] = [
  { type: "turn_accepted", origin: "caller", prompt: "hi", promptKind: "text", turnId: "a" },
  { type: "turn_accepted", origin: "schedule", turnId: "b" },
  { type: "turn_accepted", origin: "caller", prompt: "x".repeat(70_000), turnId: "c" },
  { type: "turn_started", attempt: 2, promptId: "p", turnId: "a" },
  { type: "turn_retried", reason: "process_ended", turnId: "a" },
  { type: "steered", id: "s", text: "more", by: "ann", turnId: "a" },
  { type: "steer_settled", id: "s", outcome: "read", turnId: "a" },
  { type: "turn_ended", state: "completed", stopReason: null, usage, costUsd: 0.1, durationMs: 12, turnId: "a" },
  {
    type: "turn_ended",
    state: "failed",
    error: { code: "TURN_FAILED", message: "no" },
    conversation: "undone",
    turnId: "a",
  },
  { type: "text", text: "hello", block: "m.0", turnId: "a" },
  { type: "thinking", text: "hm", block: "m.1", cut: true, turnId: "a", parent: "u0" },
  { type: "tool_use", id: "u1", name: "Bash", input: { command: "ls", deep: [null, 1, { a: true }] }, turnId: "a" },
  { type: "tool_result", toolUseId: "u1", output: [{ type: "text", text: "a b" }], failed: false, turnId: "a" },
  {
    type: "approval_requested",
    id: "ap",
    tool: "Write",
    toolUseId: "u2",
    input: {},
    title: "Write?",
    reason: "outside",
    suggestions: [],
    expiresAt: 5,
  },
  { type: "approval_settled", id: "ap", outcome: "denied", message: "no" },
  { type: "started", reason: "wake", conversationId: "c", pid: 4 },
  { type: "exit", exit: { class: "crash", message: "it died", at: 3, pid: 4, code: 1, stderr: "oh" } },
  { type: "quarantined" },
  { type: "hibernated" },
  { type: "conversation", conversationId: "c", change: "cleared" },
  { type: "compacted", trigger: "auto", tokensBefore: 100 },
  { type: "model_changed", model: "m" },
  { type: "permission_mode_changed", mode: "plan" },
  { type: "spent", models: [{ model: "m", costUsd: 1, usage }] },
  { type: "fault", fault: { kind: "mcp_server_failed", message: "gone", server: "files", at: 3 } },
  { type: "task_started", task },
  { type: "task_overdue", task },
  { type: "task_ended", taskId: "t1", status: "completed", summary: "done" },
  { type: "wakeup_scheduled", id: "w", due: 9, recurring: false },
  { type: "wakeup_fired", id: "w" },
  { type: "wakeup_cancelled", id: "w" },
  { type: "message_recorded", raw: { type: "assistant", message: { content: ["x".repeat(70_000)] } }, turnId: "a" },
  { type: "noted", id: "n", kind: "rating", data: { stars: 5 }, by: "ann" },
  { type: "lost", events: 3 },
];

test("recorded events: the drafts of this test cover every type", () => {
  expect([...new Set(DRAFTS.map(({ type }) => type))].toSorted()).toEqual(recordedEventTypes.toSorted());
});

test("recorded events: a live reader gets exactly what a reader of the journal gets", () => {
  const record = new SessionRecord("s", { now: () => 7 });
  record.open(0);
  const entries = record.append(DRAFTS).map(({ event }) => event);
  expect(entries).toHaveLength(DRAFTS.length);
  for (const entry of entries) {
    const stored = JSON.parse(JSON.stringify(entry)) as EventEntry;
    const read = readEvent(stored);
    expect(read.type).toBe(entry.type);
    expect(eventOf(entry)).toEqual(read);
  }
  expect(readEvent(entries[0] as EventEntry)).toEqual({
    v: 1,
    number: 1,
    at: 7,
    turnId: "a",
    type: "turn_accepted",
    origin: "caller",
    prompt: "hi",
    promptKind: "text",
  });
});

test("readEvent: returns an event of another release as unknown, with its body", () => {
  const entry = { session: "s", number: 3, at: 9, turn: "a" };
  const later = { v: 2, text: 1, parent: "u" };
  const shared = { number: 3, at: 9, turnId: "a", type: "unknown" };
  expect(readEvent({ ...entry, type: "text", body: later })).toEqual({
    ...shared,
    v: 2,
    parent: "u",
    name: "text",
    body: later,
  });
  const unheardOf = { v: 1, what: "ever" };
  expect(readEvent({ ...entry, type: "sung", body: unheardOf })).toEqual({
    ...shared,
    v: 1,
    name: "sung",
    body: unheardOf,
  });
  const inherited = { v: 1 };
  expect(readEvent({ ...entry, type: "constructor", body: inherited })).toMatchObject({ type: "unknown" });
  const wrong = { v: 1, text: 5, block: "b" };
  expect(readEvent({ ...entry, type: "text", body: wrong })).toMatchObject({
    type: "unknown",
    name: "text",
    body: wrong,
  });
});

test("readEvent: keeps fields that a later release adds to a type", () => {
  const body = { v: 1, text: "a", block: "b", language: "en" };
  expect(readEvent({ session: "s", number: 1, at: 0, type: "text", body })).toMatchObject({
    type: "text",
    language: "en",
  });
});

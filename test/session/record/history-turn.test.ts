import { expect, test } from "vitest";
import type { HistoryGap, HistoryPart, HistoryTurn } from "../../../src/session/record/history-entry.ts";
import { foldTurn } from "../../../src/session/record/history-turn.ts";
import type { EventDraft, RecordedEvent } from "../../../src/session/record/session-event-types.ts";

type Given = EventDraft | HistoryGap;

const accepted: EventDraft = {
  type: "turn_accepted",
  turnId: "t",
  origin: "caller",
  prompt: "go",
  metadata: { user: "ann" },
};
const started: EventDraft = { type: "turn_started", turnId: "t", attempt: 1 };
const again: EventDraft = { type: "turn_started", turnId: "t", attempt: 2 };
const retried: EventDraft = { type: "turn_retried", turnId: "t", reason: "process_ended" };
const ended: EventDraft = {
  type: "turn_ended",
  turnId: "t",
  state: "completed",
  costUsd: 1,
  model: "m",
  stopReason: null,
};
const text = (written: string, parent?: string): EventDraft => ({
  type: "text",
  turnId: "t",
  text: written,
  block: "b",
  ...(parent !== undefined && { parent }),
});
const use = (id: string, parent?: string): EventDraft => ({
  type: "tool_use",
  turnId: "t",
  id,
  name: "Bash",
  input: {},
  ...(parent !== undefined && { parent }),
});
const result = (toolUseId: string): EventDraft => ({
  type: "tool_result",
  turnId: "t",
  toolUseId,
  output: "ok",
  failed: false,
});
const ask = (id: string, toolUseId?: string): EventDraft => ({
  type: "approval_requested",
  turnId: "t",
  id,
  tool: "Bash",
  input: {},
  suggestions: [],
  expiresAt: 99,
  ...(toolUseId !== undefined && { toolUseId }),
});
const settled = (id: string): EventDraft => ({
  type: "approval_settled",
  turnId: "t",
  id,
  outcome: "denied",
  by: "ann",
  message: "no",
});
const steered: EventDraft = { type: "steered", turnId: "t", id: "s", text: "and", by: "bob" };
const read: EventDraft = { type: "steer_settled", turnId: "t", id: "s", outcome: "read" };
const gap: HistoryGap = { type: "missing", reason: "not_kept" };
const long: HistoryGap = { type: "missing", reason: "too_long" };

/** The fold of these events, the n-th at the time n. */
function fold(given: readonly Given[], thinking = false): HistoryTurn {
  const events = given.map((one, index): RecordedEvent | HistoryGap =>
    one.type === "missing" ? one : { v: 1, number: index + 1, at: index + 1, ...one },
  );
  return foldTurn("t", events, { thinking });
}

const asked = { type: "turn", id: "t", origin: "caller", prompt: "go", metadata: { user: "ann" }, acceptedAt: 1 };

test("foldTurn(): has what was asked, what came of it, and how it ended", () => {
  const { parts, ...rest } = fold([accepted, started, text("one"), use("a"), result("a"), text("two"), ended]);
  expect(rest).toEqual({
    ...asked,
    ...{
      state: "completed",
      attempts: 1,
      retries: [],
      startedAt: 2,
      endedAt: 7,
      costUsd: 1,
      model: "m",
      stopReason: null,
    },
  });
  expect(parts).toEqual([
    { type: "text", text: "one", block: "b", at: 3 },
    {
      type: "tool",
      id: "a",
      name: "Bash",
      input: {},
      at: 4,
      approvals: [],
      parts: [],
      result: { output: "ok", failed: false, at: 5 },
    },
    { type: "text", text: "two", block: "b", at: 6 },
  ]);
});

test.each<[string, readonly Given[], Partial<HistoryTurn>]>([
  ["waits", [accepted], { state: "queued", attempts: 0, parts: [] }],
  ["runs", [accepted, started, text("so far")], { state: "running", attempts: 1 }],
  ["waits for another attempt", [accepted, started, text("void"), retried], { state: "queued", parts: [] }],
  ["runs again", [accepted, started, retried, again], { state: "running", attempts: 2, startedAt: 2 }],
  [
    "was cancelled",
    [accepted, { type: "turn_ended", turnId: "t", state: "cancelled", error: { code: "C", message: "m" } }],
    { state: "cancelled", error: { code: "C", message: "m" }, endedAt: 2 },
  ],
])("foldTurn(): has the state of a turn that %s", (_, given, expected) => {
  expect(fold(given)).toMatchObject({ ...asked, ...expected });
});

/** The parts as short texts. */
function partsOf({ parts }: Pick<HistoryTurn, "parts">): unknown[] {
  return parts.map(partAs);
}

function partAs(part: HistoryPart): unknown {
  if (part.type === "missing") return part.reason;
  if (part.type === "approval") return `approval ${part.approval.id}`;
  if (part.type === "steered") return `steered ${part.id} ${part.outcome ?? "unknown"}`;
  if (part.type !== "tool") return `${part.type} ${String(part.text)}${part.cut === true ? " (cut)" : ""}`;
  const approvals = part.approvals.map(({ id, outcome = "pending", by = "nobody" }) => `${id} ${outcome} by ${by}`);
  const open = part.result === undefined ? ["open"] : [];
  const words = [`${part.name || "?"} ${part.id}`, ...open, ...approvals].join(", ");
  return part.parts.length === 0 ? words : [words, partsOf(part)];
}

test.each<[string, readonly Given[], unknown[]]>([
  [
    "drops what a retry has made void",
    [accepted, started, text("void"), use("a"), retried, again, text("good"), ended],
    ["text good"],
  ],
  [
    "drops it when two attempts are void",
    [accepted, started, text("1"), retried, again, text("2"), retried, again, text("3")],
    ["text 3"],
  ],
  [
    "keeps messages to the turn over a retry",
    [accepted, steered, started, text("void"), retried, again, read, ended],
    ["steered s read"],
  ],
  [
    "has messages where they came",
    [accepted, started, text("1"), steered, text("2")],
    ["text 1", "steered s unknown", "text 2"],
  ],
  [
    "puts subagents under their call",
    [accepted, started, use("a"), text("in a", "a"), use("b", "a"), text("in b", "b"), result("b"), result("a")],
    [["Bash a", ["text in a", ["Bash b", ["text in b"]]]]],
  ],
  [
    "puts a subagent under a call that is missing",
    [accepted, started, text("in a", "a"), text("own")],
    [["? a, open", ["text in a"]], "text own"],
  ],
  ["ignores the result of a call that is missing", [accepted, started, result("a"), text("own")], ["text own"]],
  [
    "has approvals at their calls",
    [accepted, started, use("a"), ask("p", "a"), settled("p"), result("a")],
    ["Bash a, p denied by ann"],
  ],
  [
    "has approvals that come before their calls",
    [accepted, started, ask("p", "a"), use("a"), settled("p")],
    ["Bash a, open, p denied by ann"],
  ],
  ["has approvals without a call", [accepted, started, ask("p"), text("x")], ["approval p", "text x"]],
  ["ignores the end of an approval that is missing", [accepted, started, settled("p")], []],
  [
    "marks cut blocks",
    [accepted, started, { type: "text", turnId: "t", text: "ha", block: "b", cut: true }],
    ["text ha (cut)"],
  ],
  [
    "leaves out thinking",
    [accepted, started, { type: "thinking", turnId: "t", text: "hm", block: "b" }, text("x")],
    ["text x"],
  ],
  [
    "has a gap for lost events",
    [accepted, started, { type: "lost", turnId: "t", events: 3 }, text("x")],
    ["not_kept", "text x"],
  ],
  [
    "has a gap at the end that an application's death has cut",
    [accepted, started, text("x"), { type: "turn_ended", turnId: "t", state: "interrupted", cut: true }],
    ["text x", "not_kept"],
  ],
  ["has a gap without the acceptance", [started, text("x")], ["not_kept", "text x"]],
  ["has a gap without the start", [accepted, text("x"), ended], ["not_kept", "text x"]],
  ["has one gap without both", [text("x")], ["not_kept", "text x"]],
  ["has no gap for a turn that ended before it started", [accepted, ended], []],
  [
    "has given gaps, neighbours as one",
    [accepted, started, long, gap, text("x"), gap],
    ["too_long", "text x", "not_kept"],
  ],
])("foldTurn(): %s", (_, given, expected) => {
  expect(partsOf(fold(given))).toEqual(expected);
});

test("foldTurn(): has thinking on request", () => {
  const thought: EventDraft = { type: "thinking", turnId: "t", text: "hm", block: "b" };
  expect(partsOf(fold([accepted, started, thought], true))).toEqual(["thinking hm"]);
});

test("foldTurn(): has the questions of an approval, and its answers", () => {
  const question = { question: "Which?", header: "", options: [], multiSelect: false };
  const asks: EventDraft = {
    ...{ type: "approval_requested", turnId: "t", id: "p", tool: "AskUserQuestion", suggestions: [], expiresAt: 9 },
    input: { questions: [{ question: "Which?" }] },
  };
  const answers = { "Which?": "the blue one" };
  const answered: EventDraft = { type: "approval_settled", turnId: "t", id: "p", outcome: "approved", answers };
  expect(fold([accepted, started, asks, answered]).parts).toMatchObject([
    { type: "approval", approval: { questions: [question], answers, outcome: "approved", at: 3, settledAt: 4 } },
  ]);
});

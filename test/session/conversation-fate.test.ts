import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { ContentRefusal } from "../../src/claude/content-refusal.ts";
import { type FinishedTurn, fateOf } from "../../src/session/turns/conversation-fate.ts";

const FAILED: FinishedTurn = {
  answered: false,
  touched: false,
  displaced: undefined,
  refusal: undefined,
  compaction: undefined,
  prompt: "hi",
};

const LONG = "word ".repeat(10_000);
const untouched = FAILED;
const touched: FinishedTurn = { ...FAILED, touched: true };
const refused = (refusal: ContentRefusal, turn: Partial<FinishedTurn> = {}): FinishedTurn => ({
  ...FAILED,
  refusal,
  ...turn,
});

describe("fateOf", () => {
  it.each<[string, FinishedTurn, string]>([
    ["an answered turn", { ...touched, answered: true }, "kept"],
    ["an answer without a word, as of a command", { ...untouched, answered: true }, "kept"],
    ["one that failed, timed out or was interrupted before Claude had begun", untouched, "undone"],
    ["one that failed, timed out or was interrupted after it had begun", touched, "kept"],
    ["one whose place another takes before it had begun", { ...untouched, displaced: "interrupt" }, "kept"],
    ["one whose place another takes after it had begun", { ...touched, displaced: "interrupt" }, "kept"],
    ["one that is rolled back before it had begun", { ...untouched, displaced: "rollback" }, "undone"],
    ["one that is rolled back after it had begun", { ...touched, displaced: "rollback" }, "undone"],
    ["one that was faster than the rollback", { ...touched, answered: true, displaced: "rollback" }, "kept"],

    ["one that brought in an image that is refused", refused("media", { touched: true }), "cut_back"],
    ["one that brought in too much", refused("length", { touched: true }), "cut_back"],
    ["one that left calls of tools in disorder", refused("structure", { touched: true }), "cut_back"],
    ["one that brought in something else that is refused", refused("other", { touched: true }), "cut_back"],
    [
      "one that brought in what is refused, and whose place another takes",
      refused("media", { touched: true, displaced: "interrupt" }),
      "cut_back",
    ],

    ["a prompt that is too long", refused("length", { prompt: LONG, compaction: "failed" }), "undone"],
    ["a prompt that is too long for what is left, and nobody compacts", refused("length"), "undone"],
    ["a prompt that is refused", refused("other"), "undone"],
    ["a prompt that brought in a file that is refused", refused("media", { prompt: "see @a.png" }), "undone"],
    ["a prompt as large as a request may be", refused("media", { prompt: LONG }), "undone"],
    ["a refused prompt whose place another takes", refused("other", { displaced: "interrupt" }), "undone"],
  ])("of %s", (_, turn, fate) => {
    expect(fateOf(turn)).toEqual({ fate, suspect: false });
  });

  it.each<[string, FinishedTurn]>([
    ["an image", refused("media")],
    ["calls of tools in disorder", refused("structure")],
    ["calls of tools in disorder, whatever the prompt", refused("structure", { prompt: `@a.png ${LONG}` })],
    ["more than there is room for, and cannot be compacted", refused("length", { compaction: "failed" })],
    ["more than there is room for after a compaction", refused("length", { compaction: "done" })],
  ])("suspects an earlier turn where the prompt cannot have brought in %s", (_, turn) => {
    expect(fateOf(turn)).toEqual({ fate: "cut_back", suspect: true });
  });

  it("never keeps what the API refuses, and takes out nothing else that Claude has begun with", () => {
    const turns = fc.record({
      answered: fc.constant(false),
      touched: fc.boolean(),
      displaced: fc.constantFrom(undefined, "interrupt" as const, "rollback" as const),
      refusal: fc.constantFrom(undefined, "length" as const, "media" as const, "structure" as const, "other" as const),
      compaction: fc.constantFrom(undefined, "failed" as const, "done" as const),
      prompt: fc.constantFrom("hi", "@file", LONG),
    });
    fc.assert(
      fc.property(turns, (turn) => {
        const { fate, suspect } = fateOf(turn);
        if (turn.refusal !== undefined) expect(fate).not.toBe("kept");
        else if (turn.touched && turn.displaced !== "rollback") expect(fate).toBe("kept");
        if (suspect) expect([turn.touched, turn.displaced === "rollback"]).toEqual([false, false]);
      }),
    );
  });
});

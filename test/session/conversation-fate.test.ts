import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { ContentRefusal } from "../../src/claude/messages/content-refusal.ts";
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
    ["an empty answer, as of a command", { ...untouched, answered: true }, "kept"],
    ["a turn that failed, timed out or was interrupted before Claude began", untouched, "undone"],
    ["a turn that failed, timed out or was interrupted after Claude began", touched, "kept"],
    ["a turn that is displaced before Claude began", { ...untouched, displaced: "interrupt" }, "kept"],
    ["a turn that is displaced after Claude began", { ...touched, displaced: "interrupt" }, "kept"],
    ["a turn that is rolled back before Claude began", { ...untouched, displaced: "rollback" }, "undone"],
    ["a turn that is rolled back after Claude began", { ...touched, displaced: "rollback" }, "undone"],
    ["a turn that completed before its rollback", { ...touched, answered: true, displaced: "rollback" }, "kept"],

    ["a turn that brought in a refused image", refused("media", { touched: true }), "cut_back"],
    ["a turn that brought in too much", refused("length", { touched: true }), "cut_back"],
    ["a turn that left tool calls in disorder", refused("structure", { touched: true }), "cut_back"],
    ["a turn that brought in other refused content", refused("other", { touched: true }), "cut_back"],
    [
      "a displaced turn that brought in refused content",
      refused("media", { touched: true, displaced: "interrupt" }),
      "cut_back",
    ],

    ["too long a prompt", refused("length", { prompt: LONG, compaction: "failed" }), "undone"],
    ["a prompt too long for the rest of the context, without a compaction", refused("length"), "undone"],
    ["a refused prompt", refused("other"), "undone"],
    ["a prompt that brought in a refused file", refused("media", { prompt: "see @a.png" }), "undone"],
    ["a prompt of the maximum request size", refused("media", { prompt: LONG }), "undone"],
    ["a refused prompt that is displaced", refused("other", { displaced: "interrupt" }), "undone"],
  ])("decides on %s", (_, turn, fate) => {
    expect(fateOf(turn)).toEqual({ fate, suspect: false });
  });

  it.each<[string, FinishedTurn]>([
    ["an image", refused("media")],
    ["tool calls in disorder", refused("structure")],
    ["tool calls in disorder, whatever the prompt", refused("structure", { prompt: `@a.png ${LONG}` })],
    ["too much content after a failed compaction", refused("length", { compaction: "failed" })],
    ["too much content after a compaction", refused("length", { compaction: "done" })],
  ])("suspects an earlier turn when the prompt cannot have brought in %s", (_, turn) => {
    expect(fateOf(turn)).toEqual({ fate: "cut_back", suspect: true });
  });

  it("never keeps refused content, and removes no other touched turn without a rollback", () => {
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

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type ShownPiece, ShownPieces } from "../../src/claude/messages/shown.ts";
import { CastellanError } from "../../src/errors.ts";
import { shownIn } from "../../src/session/streams/kept-shown.ts";
import type { TurnEnd } from "../../src/session/streams/reply.ts";
import { outcomeOf } from "../../src/session/streams/turn-end.ts";
import { replyOf } from "./replies.ts";

const text = (words: string): ShownPiece => ({ type: "text", text: words });
const tool = (id: string, input: unknown = {}): ShownPiece => ({ type: "tool_use", id, name: "Bash", input });
const LOST: ShownPiece = { type: "lost" };
const ended = (answer: string): TurnEnd => ({ reply: replyOf({ text: answer }), output: undefined });
const partial = { turnId: "t", partialText: "half", toolUses: [{ id: "x", name: "Read" }] };
const failed: TurnEnd = { error: new CastellanError("TURN_INTERRUPTED", "cut", { details: partial }) };

/** Writes pieces to an outcome and reads them back. */
function kept(shown: readonly ShownPiece[], end: TurnEnd): { shown: ShownPiece[]; size: number } {
  const json = JSON.stringify(outcomeOf(end, shown));
  return { shown: shownIn(JSON.parse(json), end), size: json.length };
}

describe("ShownPieces", () => {
  it("joins pieces of one text, and keeps the order", () => {
    const pieces = new ShownPieces();
    for (const [type, words] of [
      ["thinking", "h"],
      ["thinking", "m"],
      ["text", "Let "],
      ["text", ""],
      ["text", "me"],
    ] as const)
      pieces.add({ type, text: words });
    pieces.use({ id: "a", name: "Bash", input: { command: "ls" }, parentToolUseId: "b" });
    pieces.add({ type: "text", text: "!" });
    expect(pieces.all).toEqual([
      { type: "thinking", text: "hm" },
      text("Let me"),
      { type: "tool_use", id: "a", name: "Bash", input: { command: "ls" }, parentToolUseId: "b" },
      text("!"),
    ]);
    expect(pieces.text).toBe("Let me!");
    expect([new ShownPieces().all, new ShownPieces().text]).toEqual([[], ""]);
  });
});

describe("outcomeOf and shownIn", () => {
  const words = fc.string({ unit: "binary", minLength: 1, maxLength: 20 });
  const piece: fc.Arbitrary<ShownPiece> = fc.oneof(
    fc.record({ type: fc.constantFrom("text" as const, "thinking" as const), text: words }),
    fc.record({ type: fc.constant("tool_use" as const), id: words, name: words, input: fc.jsonValue() }),
  );

  it("read back the written pieces, for any outcome", () => {
    fc.assert(
      fc.property(fc.array(piece), fc.boolean(), fc.nat(), (shown, completed, from) => {
        const last = shown.findLast(({ type }) => type === "text");
        const answer = last?.type === "text" ? last.text.slice(from % (last.text.length + 1)) : "other";
        const end = completed ? ended(answer) : failed;
        // JSON changes numbers such as -0.
        expect(kept(shown, end).shown.filter(isNoEmptyText).reduce(joined, [])).toEqual(
          JSON.parse(JSON.stringify(shown)).reduce(joined, []),
        );
      }),
    );
  });

  it("store the answer once", () => {
    const answer = "a".repeat(10_000);
    const end = ended(answer);
    expect(kept([tool("x"), text(answer)], end).size).toBeLessThan(11_000);
    expect(kept([tool("x"), text(answer)], end).shown).toEqual([tool("x"), text(answer)]);
    expect(kept([text(`Before. ${answer}`)], end).shown).toEqual([text("Before. "), text(answer)]);
  });

  it("are bounded: they keep the beginning and the answer, and mark the loss", () => {
    const answer = "a".repeat(1_000_000);
    const long = Array.from({ length: 100 }, (_, n) => tool(`${n}`, { content: "c".repeat(10_000) }));
    for (const end of [ended(answer), failed]) {
      const { shown, size } = kept([text("I write."), ...long, text(answer)], end);
      expect(shown.slice(0, 7)).toEqual([text("I write."), ...long.slice(0, 6)]);
      expect(shown.slice(7)).toEqual("reply" in end ? [LOST, text(answer)] : [LOST]);
      expect(size).toBeLessThan(70_000 + ("reply" in end ? answer.length : 0));
      // A second round trip, as to another node, changes nothing.
      expect(kept(shown, end).shown).toEqual(shown);
    }
  });

  it("keep only the answer after a loss", () => {
    expect(kept([text("a"), LOST, tool("x"), text("b")], ended("b")).shown).toEqual([text("a"), LOST, text("b")]);
    expect(kept([text("a"), LOST], failed).shown).toEqual([text("a"), LOST]);
  });

  it("copy the input of a tool", () => {
    const input = { command: "ls" };
    const outcome = outcomeOf(ended("done"), [tool("x", input), text("done")]);
    input.command = "rm";
    expect(shownIn(outcome, ended("done"))).toEqual([tool("x", { command: "ls" }), text("done")]);
  });

  it("mark the loss in outcomes that were written without pieces", () => {
    expect(shownIn(outcomeOf(ended("done")), ended("done"))).toEqual([LOST, text("done")]);
    expect(shownIn(outcomeOf(ended("")), ended(""))).toEqual([LOST]);
    expect(shownIn(outcomeOf(failed), failed)).toEqual([text("half"), LOST]);
    const silent = { error: new CastellanError("TURN_CANCELLED", "stopped", { details: { turnId: "t" } }) };
    expect(shownIn(outcomeOf(silent), silent)).toEqual([]);
    expect(shownIn(undefined, silent)).toEqual([]);
    expect(shownIn({ shown: [{ type: "text" }] }, ended("done"))).toEqual([LOST, text("done")]);
  });
});

function isNoEmptyText(piece: ShownPiece): boolean {
  return piece.type !== "text" || piece.text !== "";
}

/** Joins adjacent texts. */
function joined(pieces: readonly ShownPiece[], piece: ShownPiece): ShownPiece[] {
  const last = pieces.at(-1);
  if (last?.type !== "text" || piece.type !== "text") return [...pieces, piece];
  return [...pieces.slice(0, -1), text(last.text + piece.text)];
}

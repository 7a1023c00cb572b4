import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { StderrTail } from "../../src/claude/stderr-tail.ts";

function tailOf(pieces: readonly string[]): string | undefined {
  const tail = new StderrTail();
  for (const piece of pieces) tail.append(piece);
  return tail.text;
}

describe("StderrTail", () => {
  it("has nothing where nothing, or only white space, was written", () => {
    expect(tailOf([])).toBeUndefined();
    expect(tailOf(["", "\n", "  \n"])).toBeUndefined();
  });

  it("keeps the end of what was written, at most 2 kB, however it came", () => {
    fc.assert(
      fc.property(fc.array(fc.string({ maxLength: 1_500 }), { maxLength: 10 }), (pieces) => {
        expect(tailOf(pieces)).toBe(pieces.join("").slice(-2048).trim() || undefined);
      }),
    );
  });

  it("keeps the last words of a flood", () => {
    const text = tailOf([...Array.from({ length: 100 }, () => "x".repeat(10_000)), "\nError: the last words\n"]);
    expect(text).toHaveLength(2047);
    expect(text?.endsWith("x\nError: the last words")).toBe(true);
  });
});

it("shows no secret, wherever it was printed", () => {
  const tail = new StderrTail();
  tail.secrets = ["sk-ant-secret"];
  tail.append("the key sk-ant-");
  tail.append("secret is refused: sk-ant-secret");
  expect(tail.text).toBe("the key [hidden] is refused: [hidden]");
});

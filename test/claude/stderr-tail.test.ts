import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { StderrTail } from "../../src/claude/process.ts";

function tailOf(pieces: readonly string[]): string | undefined {
  const tail = new StderrTail();
  for (const piece of pieces) tail.append(piece);
  return tail.text;
}

describe("StderrTail", () => {
  it("is undefined without output, or with white space only", () => {
    expect(tailOf([])).toBeUndefined();
    expect(tailOf(["", "\n", "  \n"])).toBeUndefined();
  });

  it("keeps the last 2 kB of the output, in any pieces", () => {
    fc.assert(
      fc.property(fc.array(fc.string({ maxLength: 1_500 }), { maxLength: 10 }), (pieces) => {
        expect(tailOf(pieces)).toBe(pieces.join("").slice(-2048).trim() || undefined);
      }),
    );
  });

  it("keeps the end of a flood", () => {
    const text = tailOf([...Array.from({ length: 100 }, () => "x".repeat(10_000)), "\nError: the last words\n"]);
    expect(text).toHaveLength(2047);
    expect(text?.endsWith("x\nError: the last words")).toBe(true);
  });
});

it("StderrTail: hides a secret within and across pieces", () => {
  const tail = new StderrTail();
  tail.secrets = ["sk-ant-secret"];
  tail.append("the key sk-ant-");
  tail.append("secret is refused: sk-ant-secret");
  expect(tail.text).toBe("the key [hidden] is refused: [hidden]");
});

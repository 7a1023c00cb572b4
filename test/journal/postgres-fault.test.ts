import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { JournalFault } from "../../src/errors.ts";
import { fromText, toText } from "../../src/journal/model/stored-text.ts";
import { faultOf, stateOf, wordsOf } from "../../src/journal/postgres/postgres-fault.ts";

describe("what an error of PostgreSQL means", () => {
  const cases: readonly (readonly [state: string | undefined, fault: JournalFault, why: string])[] = [
    [undefined, "unreachable", "the connection was lost"],
    ["08006", "unreachable", "connection failure"],
    ["28P01", "unreachable", "wrong password"],
    ["3D000", "unreachable", "no such database"],
    ["53300", "unreachable", "too many connections"],
    ["57P01", "unreachable", "shut down by an administrator"],
    ["57P03", "unreachable", "is starting"],
    ["25P03", "unreachable", "ended because it stood still in a transaction"],
    ["53100", "no_space", "disk full"],
    ["25006", "read_only", "read-only transaction"],
    ["42P01", "damaged", "a table is not there"],
    ["XX001", "damaged", "data corrupted"],
    ["22P05", "refused", "a character it does not know"],
    ["23502", "refused", "null where there must be something"],
    ["54000", "refused", "too long for an index"],
    ["57014", "failed", "took too long"],
    ["40P01", "failed", "deadlock"],
    ["42501", "failed", "not permitted"],
  ];
  for (const [state, fault, why] of cases) {
    it(`is "${fault}" for ${state}: ${why}`, () => {
      expect(faultOf(state)).toBe(fault);
    });
  }

  it("is not told by errors of the network", () => {
    expect(stateOf(Object.assign(new Error("reset"), { code: "ECONNRESET" }))).toBeUndefined();
    expect(stateOf(Object.assign(new Error("full"), { code: "53100", severity: "ERROR" }))).toBe("53100");
  });

  it("is said in words also where the error has none", () => {
    expect(wordsOf(Object.assign(new AggregateError([]), { code: "ECONNREFUSED" }))).toBe("ECONNREFUSED");
    expect(wordsOf(new Error("gone"))).toBe("gone");
  });
});

describe("a text", () => {
  const difficult = fc.constantFrom("\0", "␐", "␐0000", "\uD83D", "\uDE00", "😀", "0", "d83d");
  const unit = fc.integer({ min: 0, max: 0xffff }).map((code) => String.fromCharCode(code));
  const anyText = fc.array(fc.oneof(difficult, unit)).map((parts) => parts.join(""));

  it("comes back as it was, and is one that PostgreSQL can hold", () => {
    fc.assert(
      fc.property(anyText, (text) => {
        expect(fromText(toText(text))).toBe(text);
        expect(toText(text).isWellFormed()).toBe(true);
        expect(toText(text)).not.toContain("\0");
      }),
    );
  });

  it("is kept as it is where it can be", () => {
    const plain = `["user","\\ud83d",42] 'é' 😀`;
    expect(toText(plain)).toBe(plain);
  });
});

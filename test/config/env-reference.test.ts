import { describe, expect, it } from "vitest";
import { resolveReferences } from "../../src/config/env-reference.ts";
import type { OptionProblem } from "../../src/errors.ts";
import { globalName } from "../../src/session/options/global-name.ts";

function resolve(value: unknown) {
  const problems: OptionProblem[] = [];
  const environment = { MODEL: "m", COUNT: "12", ON: "true", OFF: "0", EMPTY: "" };
  const problem = (one: OptionProblem): void => void problems.push(one);
  return { value: resolveReferences(value, "", { environment, problem }), problems };
}

describe("resolveReferences()", () => {
  it.each([
    [{ env: "MODEL" }, "m"],
    [{ env: "COUNT" }, "12"],
    [{ env: "COUNT", as: "number" }, 12],
    [{ env: "ON", as: "boolean" }, true],
    [{ env: "OFF", as: "boolean" }, false],
    [{ env: "MISSING", default: 3 }, 3],
    [{ env: "EMPTY", default: "d" }, "d"],
    [
      [{ env: "MODEL" }, { deep: { env: "MODEL" } }],
      ["m", { deep: "m" }],
    ],
    [{ apiKey: { env: "MISSING" } }, { apiKey: { env: "MISSING" } }],
    [{ env: { MODEL: { env: "MODEL" }, env: "x" } }, { env: { MODEL: "m", env: "x" } }],
    [
      { env: "MODEL", other: 1 },
      { env: "MODEL", other: 1 },
    ],
  ])("resolves %j to %j", (value, expected) => {
    expect(resolve(value)).toEqual({ value: expected, problems: [] });
  });

  it("reports all references without a valid value, with their path", () => {
    const { problems } = resolve({
      children: [{ model: { env: "MISSING" }, maxTurns: { env: "MODEL", as: "number" } }],
      capacity: { spares: { env: "EMPTY", as: "number" } },
      pinned: { env: "MODEL", as: "boolean" },
    });
    expect(problems).toEqual([
      { field: "children[0].model", message: expect.stringContaining("MISSING is not set") },
      { field: "children[0].maxTurns", message: expect.stringContaining('MODEL must be a number, but is "m"') },
      { field: "capacity.spares", message: expect.stringContaining("EMPTY is not set") },
      { field: "pinned", message: expect.stringContaining("MODEL must be true or false") },
    ]);
  });

  it("leaves values other than plain data unchanged", () => {
    const value = { logger: console, at: new Date(0), hook: () => {}, name: globalName("reviewer") };
    const { value: same } = resolve(value) as { value: typeof value };
    expect(same.logger).toBe(console);
    expect(same.at).toBe(value.at);
    expect(same.hook).toBe(value.hook);
    expect(same.name).toBe(value.name);
  });
});

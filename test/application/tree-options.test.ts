import { describe, expect, it } from "vitest";
import { type ChildOptions, childPlan, childPlans, type Parent } from "../../src/application/options/child-options.ts";
import { type SupervisorOptions, supervisorSettings } from "../../src/application/options/supervisor-options.ts";
import { CastellanError } from "../../src/errors.ts";
import { checkRules, type OtpRule } from "../supervision/otp-rule.ts";

/** Parses input of an untyped caller. */
function untyped<T>(json: string): T {
  return JSON.parse(json) as T;
}

/** Returns the fields of an INVALID_OPTIONS error. */
function refused(call: () => unknown): string[] {
  try {
    call();
  } catch (error) {
    if (CastellanError.is(error, "INVALID_OPTIONS")) return error.details.problems.map(({ field }) => field);
    throw error;
  }
  throw new Error("the call did not throw");
}

const start = (): never => {
  throw new Error("no process starts in this test");
};

function parent(autoShutdown: NonNullable<SupervisorOptions["autoShutdown"]>): Parent {
  return supervisorSettings({ autoShutdown });
}

describe("supervisorSettings() and childPlans()", () => {
  const options = [
    ["strategy", '{"strategy":"one_for_none"}'],
    ["onMaxRestarts", '{"onMaxRestarts":"shrug"}'],
    ["autoShutdown", '{"autoShutdown":"sometimes"}'],
    ["maxRestarts", '{"maxRestarts":-1}'],
    ["maxRestarts", '{"maxRestarts":1.5}'],
    ["maxSeconds", '{"maxSeconds":0}'],
    ["maxSeconds", '{"maxSeconds":"5"}'],
    ["maxChildren", '{"maxChildren":-1}'],
  ] as const;

  it.each([...options, ["onStartFailure", '{"onStartFailure":"retry"}'] as const])(
    "reject a supervisor's %s in %s",
    (option, json) => {
      expect(refused(() => supervisorSettings(untyped(json)))).toEqual([option]);
    },
  );

  it.each(options)("reject a nested supervisor's %s in %s", (option, json) => {
    const below = { name: "below", children: [], ...untyped<object>(json) };
    expect(refused(() => childPlans([below], parent("never")))).toEqual([`children[0].${option}`]);
  });
});

describe("childPlan(), of a worker", () => {
  it.each([
    ["id", { id: "" }],
    ["restart", untyped<object>('{"restart":"always"}')],
    ["type", untyped<object>('{"type":"boss"}')],
    ["shutdown", { shutdown: -1 }],
    ["shutdown", { shutdown: Number.NaN }],
    ["shutdown", untyped<object>('{"shutdown":"five"}')],
    ["significant", untyped<object>('{"significant":"yes"}')],
    ["start", { start: untyped<() => never>("null") }],
  ])("rejects a wrong %s", (field, change) => {
    const worker = { id: "a", start, ...change } as ChildOptions;
    expect(refused(() => childPlans([worker], parent("never")))).toEqual([`children[0].${field}`]);
    expect(refused(() => childPlan(worker, parent("never")))).toEqual([field]);
  });
});

const rules: readonly OtpRule[] = [
  {
    source: "supervisor, Automatic Shutdown: never",
    rule: "rejects significant children, at the start and later",
    check: async () => {
      const keeping = { restart: "transient", significant: true } as const;
      for (const child of [
        { id: "a", start, ...keeping },
        { name: "a", ...keeping },
        { name: "a", children: [], ...keeping },
      ]) {
        expect(refused(() => childPlans([child], parent("never")))).toEqual(["children[0].significant"]);
        expect(refused(() => childPlan(child, parent("never")))).toEqual(["significant"]);
      }
    },
  },
  {
    source: "supervisor, Child specification: significant",
    rule: "rejects a significant permanent child",
    check: async () => {
      for (const child of [
        { id: "a", start, significant: true },
        { name: "a", significant: true },
        { name: "a", children: [], significant: true },
      ]) {
        expect(refused(() => childPlans([child], parent("any_significant")))).toEqual(["children[0].significant"]);
      }
    },
  },
];

checkRules("OTP's rules of options", rules);

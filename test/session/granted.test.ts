import type { PermissionMode, PermissionUpdate } from "@anthropic-ai/claude-agent-sdk";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  type Granted,
  type GrantedEvent,
  grantedSchema,
  hasDropped,
  isNothing,
  NOTHING_GRANTED,
  nextGranted,
} from "../../src/session/conversation/granted.ts";

const applied = (...events: GrantedEvent[]): Granted => events.reduce(nextGranted, NOTHING_GRANTED);
const approved = (...updates: PermissionUpdate[]): GrantedEvent => ({ type: "approved", updates });
const configured = (option?: PermissionMode): GrantedEvent => ({ type: "configured", option });

/** Applies the modes that a process reports in turn; the first one is the options'. */
function afterModes(option: PermissionMode | undefined, ...modes: PermissionMode[]): Granted {
  return modes.slice(1).reduce((granted, now, at) => {
    const from = modes[at];
    return nextGranted(granted, { type: "mode", now, from, option });
  }, NOTHING_GRANTED);
}

type RulesUpdate = Extract<PermissionUpdate, { rules: unknown }>;

function rules(
  type: RulesUpdate["type"],
  behavior: RulesUpdate["behavior"],
  given: readonly (readonly [string, (string | undefined)?])[],
  destination: RulesUpdate["destination"] = "session",
): PermissionUpdate {
  const written = given.map(([toolName, ruleContent]) => ({
    toolName,
    ...(ruleContent === undefined ? {} : { ruleContent }),
  }));
  return { type, behavior, rules: written, destination };
}

describe("nextGranted: mode", () => {
  it("keeps a mode other than the options', with the mode to which a plan returns", () => {
    expect(afterModes("default", "default", "acceptEdits").mode).toEqual({ now: "acceptEdits", option: "default" });
    expect(afterModes("acceptEdits", "acceptEdits", "plan").mode).toEqual({
      now: "plan",
      back: "acceptEdits",
      option: "acceptEdits",
    });
    expect(afterModes("default", "default", "acceptEdits", "plan").mode).toEqual({
      now: "plan",
      back: "acceptEdits",
      option: "default",
    });
    expect(afterModes("plan", "plan", "default", "acceptEdits", "plan").mode).toMatchObject({ back: "acceptEdits" });
  });

  it("drops the mode once it is the options' again", () => {
    expect(afterModes("acceptEdits", "acceptEdits", "plan", "acceptEdits")).toEqual(NOTHING_GRANTED);
    expect(afterModes("plan", "plan", "default", "plan")).toEqual(NOTHING_GRANTED);
    expect(afterModes("default", "default", "plan", "default")).toEqual(NOTHING_GRANTED);
  });

  it("keeps any reported mode when the options have none", () => {
    expect(afterModes(undefined, "default", "plan", "default").mode).toEqual({ now: "default" });
    expect(applied({ type: "mode", now: "plan", from: undefined, option: undefined }).mode).toEqual({ now: "plan" });
  });

  it("ignores a repeated mode", () => {
    const plan = afterModes("acceptEdits", "acceptEdits", "plan");
    const again: GrantedEvent = { type: "mode", now: "plan", from: "plan", option: "acceptEdits" };
    expect(nextGranted(plan, again)).toBe(plan);
  });

  it("drops the mode when the option changes, and keeps the rules", () => {
    const both = nextGranted(
      afterModes("default", "default", "acceptEdits"),
      approved(rules("addRules", "allow", [["Read"]])),
    );
    expect(nextGranted(both, configured("default"))).toBe(both);
    expect(nextGranted(both, configured("dontAsk"))).toEqual({ ...NOTHING_GRANTED, allow: ["Read"] });
    expect(nextGranted(both, configured())).toEqual({ ...NOTHING_GRANTED, allow: ["Read"] });
    expect(nextGranted(NOTHING_GRANTED, configured("plan"))).toBe(NOTHING_GRANTED);
  });
});

describe("nextGranted: rules and directories", () => {
  it("adds, replaces and removes as Claude Code does, each behavior on its own", () => {
    const granted = applied(
      approved(
        rules("addRules", "allow", [["Bash", "touch:*"], ["WebFetch"], ["WebFetch"]]),
        rules("addRules", "deny", [["Bash", "rm:*"]]),
        rules("addRules", "ask", [["Bash", "git push:*"]]),
      ),
      approved(
        rules("replaceRules", "allow", [["Bash", "echo:*"]]),
        rules("removeRules", "deny", [["Bash", "rm:*"]]),
        { type: "addDirectories", directories: ["/a", "/b", "/a"], destination: "session" },
        { type: "removeDirectories", directories: ["/b"], destination: "session" },
      ),
    );
    expect(granted).toEqual({ allow: ["Bash(echo:*)"], deny: [], ask: ["Bash(git push:*)"], directories: ["/a"] });
  });

  it("writes rules as settings do", () => {
    const given = [["Bash", "echo (a) \\b"], ["Edit", "*"], ["mcp__s__t"]] as const;
    expect(applied(approved(rules("addRules", "allow", given))).allow).toEqual([
      "Bash(echo \\(a\\) \\\\b)",
      "Edit(*)",
      "mcp__s__t",
    ]);
  });

  it("ignores an update that Claude Code drops: a rule with empty content that would allow the whole tool", () => {
    const before = applied(approved(rules("addRules", "allow", [["Bash", "a"]])));
    for (const [tool, content] of [
      ["Bash", "*"],
      ["Bash", ""],
      ["Edit", ""],
      ["mcp__s__t", "*"],
    ] as const) {
      for (const type of ["addRules", "replaceRules"] as const) {
        const update = rules(type, "allow", [["Read"], [tool, content]]);
        expect(nextGranted(before, approved(update))).toBe(before);
      }
    }
    expect(applied(approved(rules("addRules", "deny", [["Bash", "*"]]))).deny).toEqual(["Bash"]);
    const whole = applied(approved(rules("addRules", "allow", [["Bash"]])));
    expect(nextGranted(whole, approved(rules("removeRules", "allow", [["Bash", "*"]]))).allow).toEqual([]);
  });

  it("keeps rules for the session and the command line, and leaves those for settings files", () => {
    for (const destination of ["localSettings", "userSettings", "projectSettings"] as const) {
      const updates: PermissionUpdate[] = [
        rules("addRules", "allow", [["Read"]], destination),
        { type: "addDirectories", directories: ["/a"], destination },
        { type: "setMode", mode: "acceptEdits", destination },
      ];
      expect(applied(approved(...updates))).toBe(NOTHING_GRANTED);
    }
    expect(applied(approved(rules("addRules", "allow", [["Read"]], "cliArg"))).allow).toEqual(["Read"]);
  });

  it("ignores a whole list with an invalid update", () => {
    const good = rules("addRules", "allow", [["Read"]]);
    for (const bad of [{ type: "garbage" }, { ...good, destination: "nowhere" }, { ...good, rules: "x" }, null, 7]) {
      const updates: unknown = [good, bad];
      expect(applied({ type: "approved", updates: updates as PermissionUpdate[] })).toBe(NOTHING_GRANTED);
    }
    const updates: unknown = "x";
    expect(applied({ type: "approved", updates: updates as PermissionUpdate[] })).toBe(NOTHING_GRANTED);
  });

  it("bounds allow rules to 1,000, and no deny rules", () => {
    const many = Array.from({ length: 1_200 }, (_, at) => ["Bash", `x${at}`] as const);
    const granted = applied(approved(rules("addRules", "allow", many), rules("addRules", "deny", many)));
    expect(granted.allow).toHaveLength(1_000);
    expect(granted.allow.at(-1)).toBe("Bash(x1199)");
    expect(granted.deny).toHaveLength(1_200);
  });

  it("hasDropped() finds a removed rule", () => {
    const before = applied(approved(rules("addRules", "allow", [["Read"], ["Edit"]])));
    const less = nextGranted(before, approved(rules("removeRules", "allow", [["Read"]])));
    expect([hasDropped(before, less), hasDropped(less, before), hasDropped(before, before)]).toEqual([
      true,
      false,
      false,
    ]);
  });
});

it("nextGranted: keeps nothing after `revoked`", () => {
  const granted = applied(approved(rules("addRules", "deny", [["Read"]])));
  expect(isNothing(granted)).toBe(false);
  expect(nextGranted(granted, { type: "revoked" })).toEqual(NOTHING_GRANTED);
});

it("grantedSchema: reads back any grants, which allow only added rules", () => {
  const mode = fc.constantFrom<PermissionMode>("default", "acceptEdits", "plan", "dontAsk");
  const rule = fc.tuple(fc.constantFrom("Bash", "Edit", "mcp__s__t"), fc.option(fc.string(), { nil: undefined }));
  const type = fc.constantFrom("addRules", "replaceRules", "removeRules");
  const behavior = fc.constantFrom("allow", "deny", "ask");
  const event: fc.Arbitrary<GrantedEvent> = fc.oneof(
    fc.record({ type: fc.constant("mode"), now: mode, from: fc.option(mode, { nil: undefined }), option: mode }),
    fc.tuple(type, behavior, fc.array(rule)).map(([how, kind, given]) => approved(rules(how, kind, given))),
  );
  fc.assert(
    fc.property(fc.array(event), (events) => {
      const granted = applied(...events);
      expect(grantedSchema.parse(JSON.parse(JSON.stringify(granted)))).toEqual(granted);
      const added = events.flatMap((one) => (one.type === "approved" ? one.updates : []));
      for (const text of granted.allow) {
        const [tool] = text.split("(");
        const fits = added.some(
          (update) =>
            update.type !== "removeRules" &&
            "rules" in update &&
            update.behavior === "allow" &&
            update.rules.some(
              ({ toolName, ruleContent }) => toolName === tool && (ruleContent === undefined) === (text === tool),
            ),
        );
        expect(fits).toBe(true);
      }
    }),
  );
});

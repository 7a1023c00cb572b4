import { describe, expect, test } from "vitest";
import { type GlobalReach, GlobalSession } from "../../src/cluster/global-session.ts";
import { CALL_METHODS, isCallMethod, isOnce } from "../../src/cluster/protocol/call-methods.ts";
import { CONTROLS, REMOTE_CONTROLS, readControlArguments } from "../../src/session/controls.ts";
import { Session } from "../../src/session/session.ts";

const NAMES = Object.keys(CONTROLS);

/** Of a class, and of those that it extends, but for those that every object has. */
function methodsOf(type: { readonly prototype: object }): string[] {
  const names: string[] = [];
  for (let at = type.prototype; at !== Object.prototype; at = Object.getPrototypeOf(at)) {
    names.push(...Object.getOwnPropertyNames(at));
  }
  return names;
}

describe("the table of controls", () => {
  test("is what Session, GlobalSession and the calls between nodes are made of", () => {
    expect(methodsOf(Session)).toEqual(expect.arrayContaining(NAMES));
    expect(methodsOf(GlobalSession)).toEqual(expect.arrayContaining([...REMOTE_CONTROLS]));
    expect(CALL_METHODS).toEqual(expect.arrayContaining([...REMOTE_CONTROLS]));
    expect(new Set(CALL_METHODS).size).toBe(CALL_METHODS.length);
  });

  test("keeps what cannot be sent in the process that has the session", () => {
    expect(NAMES.filter((name) => !isCallMethod(name))).toEqual(["setMcpServers"]);
    expect(methodsOf(GlobalSession)).not.toContain("setMcpServers");
  });

  test("says which controls must not be repeated", () => {
    expect(REMOTE_CONTROLS.filter((name) => isOnce(name)).toSorted()).toEqual([
      "clear",
      "restart",
      "rewindFiles",
      "stop",
    ]);
  });

  test("does not compile without a row, or with a row too many", () => {
    const { setModel: _, ...others } = CONTROLS;
    // @ts-expect-error: `setModel` has no row
    const lacking: typeof CONTROLS = others;
    // @ts-expect-error: it does not say whether it must not be repeated
    const unsure: (typeof CONTROLS)["wake"] = { arguments: [], run: async () => {} };
    // @ts-expect-error: its argument is no text
    const mistaken: (typeof CONTROLS)["stopTask"] = { arguments: [], once: false, run: async () => {} };
    expect([lacking, unsure, mistaken]).toHaveLength(3);
  });
});

describe("readControlArguments", () => {
  test("takes `null` for what was not given, and drops what nobody asked for", () => {
    expect(readControlArguments("restart", [null], "s")).toEqual([undefined]);
    expect(readControlArguments("rewindFiles", ["uuid"], "s")).toEqual(["uuid", undefined]);
    expect(readControlArguments("rewindFiles", ["uuid", { dryRun: undefined }], "s")).toEqual(["uuid", {}]);
    expect(readControlArguments("wake", ["more"], "s")).toEqual([]);
  });

  test.each([
    ["setModel", [5]],
    ["setModel", []],
    ["setPermissionMode", [null]],
    ["toggleMcpServer", ["db", "no"]],
    ["rewindFiles", ["uuid", { dryRun: "maybe" }]],
  ] as const)("refuses what %s cannot be asked with: %j", (name, args) => {
    const refused = () => readControlArguments(name, args, 'global session "a"');
    expect(refused).toThrow(expect.objectContaining({ code: "INVALID_OPTIONS" }));
    expect(refused).toThrow(new RegExp(`^global session "a": \`${name}`));
  });
});

describe("a control of a GlobalSession", () => {
  test("sends its arguments as they are, and answers nothing where its node answers `null`", async () => {
    const calls: unknown[] = [];
    const reach: Pick<GlobalReach, "call"> = {
      call: async (...call) => {
        calls.push(call);
        return null;
      },
    };
    const session = new GlobalSession(["global", "a"], reach as GlobalReach);
    expect(await session.restart()).toBeUndefined();
    expect(await session.toggleMcpServer("db", true)).toBeUndefined();
    expect(calls).toEqual([
      ['["global","a"]', "restart"],
      ['["global","a"]', "toggleMcpServer", "db", true],
    ]);
  });
});

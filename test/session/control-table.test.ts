import { readFile } from "node:fs/promises";
import { describe, expect, test } from "vitest";
import { type GlobalReach, GlobalSession } from "../../src/cluster/global-session.ts";
import { CALL_METHODS, isCallMethod, isOnce } from "../../src/cluster/protocol/call-methods.ts";
import { CONTROLS, REMOTE_CONTROLS, readControlArguments } from "../../src/session/controls.ts";
import { Session } from "../../src/session/session.ts";

const NAMES = Object.keys(CONTROLS);

/** Returns the method names of a class and its base classes, without Object's. */
function methodsOf(type: { readonly prototype: object }): string[] {
  const names: string[] = [];
  for (let at = type.prototype; at !== Object.prototype; at = Object.getPrototypeOf(at)) {
    names.push(...Object.getOwnPropertyNames(at));
  }
  return names;
}

describe("CONTROLS", () => {
  test("has a row for each control of Session, GlobalSession and the calls between nodes", () => {
    expect(methodsOf(Session)).toEqual(expect.arrayContaining(NAMES));
    expect(methodsOf(GlobalSession)).toEqual(expect.arrayContaining([...REMOTE_CONTROLS]));
    expect(CALL_METHODS).toEqual(expect.arrayContaining([...REMOTE_CONTROLS]));
    expect(new Set(CALL_METHODS).size).toBe(CALL_METHODS.length);
  });

  test("has every control as a call between nodes", () => {
    expect(NAMES.filter((name) => !isCallMethod(name))).toEqual([]);
  });

  test("marks the controls that must not be repeated", () => {
    expect(REMOTE_CONTROLS.filter((name) => isOnce(name)).toSorted()).toEqual([
      "clear",
      "note",
      "restart",
      "rewindFiles",
      "stop",
    ]);
  });

  test("does not compile with a missing or an extra row", () => {
    const { setModel: _, ...others } = CONTROLS;
    // @ts-expect-error: `setModel` has no row
    const lacking: typeof CONTROLS = others;
    // @ts-expect-error: `once` is missing
    const unsure: (typeof CONTROLS)["wake"] = { arguments: [], run: async () => {} };
    // @ts-expect-error: its argument is not text
    const mistaken: (typeof CONTROLS)["stopTask"] = { arguments: [], once: false, run: async () => {} };
    expect([lacking, unsure, mistaken]).toHaveLength(3);
  });
});

describe("GlobalSession against Session", () => {
  test("lacks only what the table of the guide tells", async () => {
    const guide = await readFile(new URL("../../docs/guide/cluster.md", import.meta.url), "utf8");
    const [, table = ""] = /<!-- only-local -->\n([\s\S]*?)<!-- \/only-local -->/.exec(guide) ?? [];
    const told = [...table.matchAll(/^\| `(\w+)`/gm)].map(([, name]) => name);
    const global = new Set(methodsOf(GlobalSession));
    const lacking = methodsOf(Session).filter((name) => !global.has(name) && name !== "constructor");
    expect(lacking.length).toBeGreaterThan(0);
    expect(told.toSorted()).toEqual(lacking.toSorted());
  });
});

describe("readControlArguments", () => {
  test("reads `null` as a missing argument, and drops extra arguments", () => {
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
    ["setMcpServers", [null]],
    ["setMcpServers", [{ own: { type: "sdk", name: "own" } }]],
    ["setMcpServers", [{ own: "npx" }]],
  ] as const)("rejects wrong arguments of %s: %j", (name, args) => {
    const refused = () => readControlArguments(name, args, 'global session "a"');
    expect(refused).toThrow(expect.objectContaining({ code: "INVALID_OPTIONS" }));
    expect(refused).toThrow(new RegExp(`^global session "a": \`${name}`));
  });
});

describe("GlobalSession", () => {
  test("sends a control with its arguments, and returns undefined for `null` of the node", async () => {
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

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { templateRule } from "../../src/cluster/placement.ts";
import type { NodeEntry } from "../../src/cluster/protocol/engine.ts";
import { planMoves } from "../../src/cluster/rebalance-plan.ts";
import type { OwnedActivity, SessionActivity } from "../../src/cluster/session-host.ts";
import { nameKey } from "../../src/names.ts";
import { node } from "./engine-conformance.ts";

const HOSTS = { sessions: [], templates: ["chat"], pools: [] };

function entry(boot: string, changed: Partial<NodeEntry> = {}): NodeEntry {
  return { ...node(boot), hosts: HOSTS, load: 0, draining: false, alive: true, aliveForMs: 5_000, ...changed };
}

/** Returns sessions of a node: `ii-b` are two idle ones, one without a process, and a busy one. */
function sessions(boot: string, letters: string): OwnedActivity[] {
  return [...letters].map((letter, n) => ({
    key: nameKey(["global", "chat", `${boot} ${String(n).padStart(2, "0")}`]),
    activity: letter === "i" ? "idle" : letter === "b" ? "busy" : "none",
  }));
}

function plan(nodes: readonly NodeEntry[], letters: Readonly<Record<string, string>>, max = 100): string[] {
  const owned = new Map(Object.entries(letters).map(([boot, some]) => [boot, sessions(boot, some)]));
  return planMoves(nodes, owned, max).map(({ key, from, to, activity }) => {
    const [, , name] = JSON.parse(key) as string[];
    return `${name?.slice(-2)} ${from}>${to} ${activity}`;
  });
}

describe("planMoves", () => {
  const three = ["a", "b", "c"].map((boot) => entry(boot));

  test("asks once per template which nodes may have its sessions", () => {
    let asked = 0;
    const counting = {
      ...HOSTS,
      templates: [],
      get pools() {
        asked += 1;
        return [];
      },
    };
    const [from, to] = [entry("a"), entry("b", { hosts: counting })];
    const many = Array.from(
      { length: 20_000 },
      (_, n): OwnedActivity => ({ key: nameKey(["global", "chat", n]), activity: "idle" }),
    );
    expect(
      planMoves(
        [from, to],
        new Map([
          ["a", many],
          ["b", []],
        ]),
        100,
      ),
    ).toEqual([]);
    expect(asked).toBeLessThan(10);
  });

  test.each<[what: string, nodes: readonly NodeEntry[], letters: Record<string, string>, max: number, moves: string[]]>(
    [
      ["moves nothing if the load is even", three, { a: "ii", b: "bi", c: "b" }, 100, []],
      ["moves to a node that has nothing", three, { a: "iiii", b: "ii", c: "" }, 100, ["00 a>c idle", "01 a>c idle"]],
      ["moves no more than `max`", three, { a: "iiiiii", b: "", c: "" }, 1, ["00 a>c idle"]],
      [
        "moves idle sessions before those in mid-turn",
        three.slice(0, 2),
        { a: "bbib", b: "" },
        100,
        ["02 a>b idle", "00 a>b busy"],
      ],
      [
        "moves a session in mid-turn only if no other evens out anything",
        three.slice(0, 2),
        { a: "bbii", b: "" },
        100,
        ["02 a>b idle", "03 a>b idle"],
      ],
      [
        "spreads sessions without a process once those with one are even",
        three.slice(0, 2),
        { a: "i----", b: "i" },
        100,
        ["01 a>b none", "02 a>b none"],
      ],
      [
        "measures load by `maxProcesses`",
        [entry("a", { maxProcesses: 2 }), entry("b", { maxProcesses: 8 })],
        { a: "ii", b: "ii" },
        100,
        ["00 a>b idle"],
      ],
      [
        "leaves nodes alone that drain or miss beats",
        [entry("a"), entry("b", { draining: true }), entry("c", { aliveForMs: 9 })],
        { a: "iiii", b: "", c: "" },
        100,
        [],
      ],
      ["leaves nodes alone that do not answer", three, { a: "iiii", b: "" }, 100, ["00 a>b idle", "01 a>b idle"]],
      [
        "moves only to nodes that host the session",
        [entry("a"), entry("b", { hosts: node("").hosts })],
        { a: "iiii", b: "" },
        100,
        [],
      ],
      [
        "keeps sessions on the nodes that they prefer",
        ["a", "b", "c"].map((boot) =>
          entry(boot, {
            labels: { zone: boot === "c" ? "far" : "near" },
            hosts: { ...HOSTS, rules: { [templateRule("chat")]: { affinity: { zone: "near" } } } },
          }),
        ),
        { a: "iiii", b: "ii", c: "" },
        100,
        ["00 a>b idle"],
      ],
    ],
  )("%s", (_, nodes, letters, max, moves) => {
    expect(plan(nodes, letters, max)).toEqual(moves);
  });

  test("moves each session once, never raises the highest load, and comes to an end", () => {
    const some = fc.array(fc.constantFrom<SessionActivity>("none", "idle", "busy"), { maxLength: 12 });
    fc.assert(
      fc.property(fc.array(fc.tuple(some, fc.integer({ min: 1, max: 8 })), { minLength: 1, maxLength: 5 }), (given) => {
        const nodes = given.map(([, maxProcesses], n) => entry(`n${n}`, { maxProcesses }));
        const owned = new Map(
          given.map(([activities], n) => [
            `n${n}`,
            activities.map((activity, at): OwnedActivity => ({ key: nameKey(["global", "chat", n, at]), activity })),
          ]),
        );
        const highest = (): number =>
          Math.max(
            ...nodes.map(({ boot, maxProcesses = 1 }) => {
              const load = (owned.get(boot) ?? []).reduce(
                (sum, { activity }) => sum + (activity === "none" ? 0.1 : 1),
                0,
              );
              return load / maxProcesses;
            }),
          );
        for (let round = 0; ; round++) {
          expect(round).toBeLessThan(50);
          const moves = planMoves(nodes, owned, 1_000);
          expect(planMoves(nodes, owned, 2)).toEqual(moves.slice(0, 2));
          if (moves.length === 0) return;
          expect(new Set(moves.map(({ key }) => key)).size).toBe(moves.length);
          const before = highest();
          for (const { key, from, to, activity } of moves) {
            owned.set(
              from,
              (owned.get(from) ?? []).filter((one) => one.key !== key),
            );
            owned.get(to)?.push({ key, activity });
          }
          expect(highest()).toBeLessThanOrEqual(before + 1e-9);
        }
      }),
    );
  });
});

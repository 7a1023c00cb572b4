import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { covers, fullness, pickNode } from "../../src/cluster/placement.ts";
import type { NodeEntry } from "../../src/cluster/protocol/engine.ts";
import { nameKey, type SessionName } from "../../src/names.ts";
import { node } from "./engine-conformance.ts";

const REVIEWER = nameKey(["global", "reviewer"]);
const HOSTS = { sessions: [REVIEWER], templates: ["support"], pools: ["summaries"] };

/** Returns a live node that accepts sessions and hosts all of them. */
function entry(boot: string, changed: Partial<NodeEntry> = {}): NodeEntry {
  return {
    ...node(boot),
    hosts: HOSTS,
    load: 0,
    draining: false,
    alive: true,
    aliveForMs: 5_000,
    ...changed,
  };
}

test.each<[name: SessionName, hosted: boolean]>([
  [["global", "reviewer"], true],
  [["global", "reviewers"], false],
  [["global", "reviewer", 1], false],
  [["global", "support", 42], true],
  [["global", "support", "a", "b"], true],
  [["global", "support"], false],
  [["global", "summaries"], false],
  ["reviewer", false],
  [["reviewer"], false],
])("covers: decides whether a node hosts %j", (name, hosted) => {
  expect(covers(HOSTS, nameKey(name))).toBe(hosted);
});

test.each<[load: number, maxProcesses: number | undefined, full: number]>([
  [0, undefined, 0],
  [64, undefined, 1],
  [8, 16, 0.5],
  [16, 16, 1],
  [20, 16, 1.25],
])("fullness: of a load of %j with maxProcesses %j", (load, maxProcesses, full) => {
  expect(fullness({ load, maxProcesses })).toBe(full);
});

describe("pickNode", () => {
  test.each<[what: string, nodes: readonly NodeEntry[], boot: string | undefined]>([
    ["on no node if there is none", [], undefined],
    ["on the least loaded node", [entry("a", { load: 2 }), entry("b", { load: 1 })], "b"],
    [
      "by load relative to maxProcesses",
      [entry("a", { load: 2, maxProcesses: 16 }), entry("b", { load: 1, maxProcesses: 4 })],
      "a",
    ],
    ["on the first by boot id among equals", [entry("b"), entry("a")], "a"],
    ["never on a dead node", [entry("a", { alive: false }), entry("b", { load: 9 })], "b"],
    ["never on a draining node", [entry("a", { draining: true }), entry("b", { load: 9 })], "b"],
    [
      "never on a node that does not declare it",
      [entry("a", { hosts: node("a").hosts }), entry("b", { load: 9 })],
      "b",
    ],
    [
      "on a node with room before one without",
      [entry("a", { load: 4, maxProcesses: 4 }), entry("b", { load: 63 })],
      "b",
    ],
    ["on a full node if all are full", [entry("a", { load: 5, maxProcesses: 4 })], "a"],
    ["nowhere if no node can host it", [entry("a", { alive: false }), entry("b", { draining: true })], undefined],
  ])("places a session without an owner %s", (_, nodes, boot) => {
    expect(pickNode(nodes, REVIEWER)?.boot).toBe(boot);
  });

  const nodes = fc.uniqueArray(fc.string({ minLength: 1, maxLength: 3 }), { maxLength: 6 }).chain((boots) =>
    fc.tuple(
      ...boots.map((boot) =>
        fc
          .record({
            load: fc.nat(20),
            maxProcesses: fc.option(fc.integer({ min: 1, max: 16 }), { nil: undefined }),
            alive: fc.boolean(),
            draining: fc.boolean(),
            hosts: fc.constantFrom(HOSTS, node("").hosts),
          })
          .map((changed) => entry(boot, changed)),
      ),
    ),
  );
  const able = (all: readonly NodeEntry[]): readonly NodeEntry[] =>
    all.filter(({ alive, draining, hosts }) => alive && !draining && hosts === HOSTS);

  test("is the same for every observer of the same nodes, in any order", () => {
    const shuffled = nodes.chain((all) =>
      fc.shuffledSubarray(all, { minLength: all.length }).map((also) => [all, also]),
    );
    fc.assert(
      fc.property(shuffled, ([all = [], also = []]) => {
        expect(pickNode(also, REVIEWER)?.boot).toBe(pickNode(all, REVIEWER)?.boot);
      }),
    );
  });

  test("picks an eligible node with the most room whenever there is one", () => {
    fc.assert(
      fc.property(nodes, (all) => {
        const place = pickNode(all, REVIEWER);
        const candidates = able(all);
        expect(place === undefined).toBe(candidates.length === 0);
        if (place === undefined) return;
        expect(candidates).toContain(place);
        for (const other of candidates) expect(fullness(place)).toBeLessThanOrEqual(fullness(other));
        // A node with room is preferred to a full one.
        if (fullness(place) >= 1) for (const other of candidates) expect(fullness(other)).toBeGreaterThanOrEqual(1);
      }),
    );
  });

  test("spreads sessions evenly if each placement counts", () => {
    const all = ["a", "b", "c"].map((boot) => entry(boot));
    for (let at = 0; at < 30; at++) {
      const place = pickNode(all, nameKey(["global", "support", at]));
      if (place !== undefined) Object.assign(place, { load: place.load + 1 });
    }
    expect(all.map(({ load }) => load)).toEqual([10, 10, 10]);
  });
});

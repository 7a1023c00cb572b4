import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { covers, fullness, placed } from "../../src/cluster/placement.ts";
import type { NodeEntry } from "../../src/cluster/protocol/engine.ts";
import { nameKey, type SessionName } from "../../src/names.ts";
import { node } from "./engine-conformance.ts";

const REVIEWER = nameKey(["global", "reviewer"]);
const HOSTS = { sessions: [REVIEWER], templates: ["support"], pools: ["summaries"] };

/** A node that lives, takes sessions and hosts all there are. */
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
])("whether a node hosts %j", (name, hosted) => {
  expect(covers(HOSTS, nameKey(name))).toBe(hosted);
});

test.each<[load: number, maxProcesses: number | undefined, full: number]>([
  [0, undefined, 0],
  [64, undefined, 1],
  [8, 16, 0.5],
  [16, 16, 1],
  [20, 16, 1.25],
])("with %j of %j processes", (load, maxProcesses, full) => {
  expect(fullness({ load, maxProcesses })).toBe(full);
});

describe("where a session without an owner goes", () => {
  test.each<[what: string, nodes: readonly NodeEntry[], boot: string | undefined]>([
    ["to nobody, if there is nobody", [], undefined],
    ["to the least loaded", [entry("a", { load: 2 }), entry("b", { load: 1 })], "b"],
    ["by size", [entry("a", { load: 2, maxProcesses: 16 }), entry("b", { load: 1, maxProcesses: 4 })], "a"],
    ["of equals to the first by its boot", [entry("b"), entry("a")], "a"],
    ["not to a dead one", [entry("a", { alive: false }), entry("b", { load: 9 })], "b"],
    ["not to one that drains", [entry("a", { draining: true }), entry("b", { load: 9 })], "b"],
    ["not to one that does not know it", [entry("a", { hosts: node("a").hosts }), entry("b", { load: 9 })], "b"],
    ["to one with room before one without", [entry("a", { load: 4, maxProcesses: 4 }), entry("b", { load: 63 })], "b"],
    ["to one without room, if none has any", [entry("a", { load: 5, maxProcesses: 4 })], "a"],
    ["to nobody, if none can have it", [entry("a", { alive: false }), entry("b", { draining: true })], undefined],
  ])("%s", (_, nodes, boot) => {
    expect(placed(nodes, REVIEWER)?.boot).toBe(boot);
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

  test("is the same for everybody who sees the same nodes, in whichever order", () => {
    const shuffled = nodes.chain((all) =>
      fc.shuffledSubarray(all, { minLength: all.length }).map((also) => [all, also]),
    );
    fc.assert(
      fc.property(shuffled, ([all = [], also = []]) => {
        expect(placed(also, REVIEWER)?.boot).toBe(placed(all, REVIEWER)?.boot);
      }),
    );
  });

  test("is one that can have it and has the most room, and one whenever there is any", () => {
    fc.assert(
      fc.property(nodes, (all) => {
        const place = placed(all, REVIEWER);
        const candidates = able(all);
        expect(place === undefined).toBe(candidates.length === 0);
        if (place === undefined) return;
        expect(candidates).toContain(place);
        for (const other of candidates) expect(fullness(place)).toBeLessThanOrEqual(fullness(other));
        // Room before no room.
        if (fullness(place) >= 1) for (const other of candidates) expect(fullness(other)).toBeGreaterThanOrEqual(1);
      }),
    );
  });

  test("spreads many, if each one that is placed counts", () => {
    const all = ["a", "b", "c"].map((boot) => entry(boot));
    for (let at = 0; at < 30; at++) {
      const place = placed(all, nameKey(["global", "support", at]));
      if (place !== undefined) Object.assign(place, { load: place.load + 1 });
    }
    expect(all.map(({ load }) => load)).toEqual([10, 10, 10]);
  });
});

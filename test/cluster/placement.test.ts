import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  countPlaced,
  covers,
  fullness,
  pickNode,
  poolRule,
  ruleFor,
  templateRule,
} from "../../src/cluster/placement.ts";
import type { NodeEntry, PlacementRule } from "../../src/cluster/protocol/engine.ts";
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
    [
      "on a node that renews before one that has missed beats",
      [entry("a", { aliveForMs: 2_499 }), entry("b", { load: 70 })],
      "b",
    ],
    ["on a node that has missed beats if there is no other", [entry("a", { aliveForMs: 1 })], "a"],
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

  describe("with affinity and spread", () => {
    const zoned = (
      boot: string,
      zone: string | undefined,
      rule: PlacementRule,
      changed: Partial<NodeEntry> = {},
    ): NodeEntry =>
      entry(boot, {
        labels: zone === undefined ? {} : { zone },
        hosts: { ...HOSTS, rules: { [templateRule("support")]: rule } },
        ...changed,
      });
    const key = nameKey(["global", "support", 42]);
    const near = { affinity: { zone: "a" } };
    const wide = { spread: "zone" };

    test.each<[what: string, nodes: readonly NodeEntry[], boot: string]>([
      ["in the preferred zone", [zoned("1", "a", near, { load: 9 }), zoned("2", "b", near)], "1"],
      [
        "elsewhere if the preferred zone is full",
        [zoned("1", "a", near, { load: 4, maxProcesses: 4 }), zoned("2", "b", near, { load: 60 })],
        "2",
      ],
      [
        "elsewhere if the preferred zone is gone",
        [zoned("1", "a", near, { alive: false }), zoned("2", "b", near)],
        "2",
      ],
      [
        "elsewhere if the preferred zone misses beats",
        [zoned("1", "a", near, { aliveForMs: 9 }), zoned("2", "b", near)],
        "2",
      ],
      [
        "in the preferred zone if all are full",
        [zoned("1", "b", near, { load: 64 }), zoned("2", "a", near, { load: 99 })],
        "2",
      ],
      [
        "in the zone with the fewest sessions of the family, however loaded",
        [
          zoned("1", "a", wide, { families: { support: 2 } }),
          zoned("2", "b", wide, { load: 5, families: { support: 1, other: 9 } }),
          zoned("3", "b", wide, { load: 6 }),
        ],
        "2",
      ],
      [
        "in the least loaded zone among equals",
        [zoned("1", "a", wide), zoned("2", "a", wide, { load: 8 }), zoned("3", "b", wide, { load: 1 })],
        "3",
      ],
      [
        "in another zone if one is gone",
        [zoned("1", "a", wide, { alive: false }), zoned("2", "b", wide, { families: { support: 5 } })],
        "2",
      ],
      [
        "on a node without the label, as a zone of its own",
        [zoned("1", "a", wide, { families: { support: 1 } }), zoned("2", undefined, wide, { load: 3 })],
        "2",
      ],
    ])("places a session %s", (_, all, boot) => {
      expect(pickNode(all, key)?.boot).toBe(boot);
    });

    test("applies to the names that the rule is of", () => {
      const rules = { [REVIEWER]: { affinity: { zone: "b" } }, [poolRule("summaries")]: wide };
      const hosts = { ...HOSTS, rules };
      const nodes = [
        entry("1", { hosts, labels: { zone: "a" } }),
        entry("2", { hosts, labels: { zone: "b" }, load: 1 }),
      ];
      expect(pickNode(nodes, REVIEWER)?.boot).toBe("2");
      expect(pickNode(nodes, key)?.boot).toBe("1");
      expect(ruleFor(nodes, nameKey(["global", "summaries"]))).toEqual(wide);
      expect(ruleFor(nodes, nameKey(["global", "summaries", 3]))).toEqual(wide);
    });

    test("keeps zones within one session of each other, whichever nodes there are and whichever are lost", () => {
      const zones = fc.array(fc.record({ zone: fc.constantFrom("a", "b", "c"), dies: fc.boolean() }), {
        minLength: 1,
        maxLength: 6,
      });
      fc.assert(
        fc.property(zones, fc.nat(30), (some, count) => {
          const all = some.map(({ zone }, n) => zoned(`n${n}`, zone, wide));
          const placed: string[] = [];
          const place = (n: number): void => {
            const node = pickNode(all, nameKey(["global", "support", n]));
            expect(node === undefined).toBe(all.every(({ alive }) => !alive));
            if (node === undefined) return;
            countPlaced(node, nameKey(["global", "support", n]));
            placed.push(node.labels["zone"] ?? "");
          };
          for (let n = 0; n < count; n++) place(n);
          const counts = [...new Set(some.map(({ zone }) => zone))].map(
            (zone) => placed.filter((at) => at === zone).length,
          );
          expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1);
          for (const [n, { dies }] of some.entries()) if (dies) Object.assign(all[n] ?? {}, { alive: false });
          for (let n = 0; n < 3; n++) place(100 + n);
        }),
      );
    });
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

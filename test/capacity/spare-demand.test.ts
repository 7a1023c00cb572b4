import fc from "fast-check";
import { expect, test } from "vitest";
import { busiest, SpareDemand } from "../../src/capacity/spare-demand.ts";

const shape = { options: {} };

test.each([
  [[], 0],
  [[5], 1],
  [[0, 1_999], 2],
  [[0, 2_000], 1],
  [[0, 1_000, 2_000, 2_500, 2_999], 4],
])("busiest(): of %j, at most %i fall within two seconds", (times, most) => {
  expect(busiest(times, 2_000)).toBe(most);
});

test("busiest(): agrees with a count from every time", () => {
  fc.assert(
    fc.property(fc.array(fc.nat(20_000), { maxLength: 30 }), (given) => {
      const times = given.toSorted((a, b) => a - b);
      const counts = times.map((from) => times.filter((time) => time >= from && time - from < 2_000).length);
      expect(busiest(times, 2_000)).toBe(Math.max(0, ...counts));
    }),
  );
});

test("SpareDemand: wants a spare after two demands, for ten minutes", () => {
  const demand = new SpareDemand();
  demand.record("a", shape, 0);
  expect(demand.wanted(0)).toEqual([]);
  demand.record("a", shape, 60_000);
  expect(demand.wanted(60_000)).toEqual([{ id: "a", shape, count: 1 }]);
  expect(demand.wanted(599_999)).toHaveLength(1);
  expect(demand.wanted(600_000)).toEqual([]);
});

test("SpareDemand: lists the latest demand first, and counts an expected one once", () => {
  const demand = new SpareDemand();
  demand.expect("expected", shape, 0);
  for (const at of [1, 2, 3]) demand.record("b", shape, at);
  expect(demand.wanted(3).map(({ id, count }) => [id, count])).toEqual([
    ["b", 3],
    ["expected", 1],
  ]);
  demand.forget("b");
  expect(demand.wanted(3).map(({ id }) => id)).toEqual(["expected"]);
});

test("SpareDemand: keeps the latest 64 kinds, and the latest 256 times of a kind", () => {
  const demand = new SpareDemand();
  for (let kind = 0; kind < 100; kind++) for (const at of [0, 1]) demand.record(`kind ${kind}`, shape, at);
  expect(demand.wanted(1)).toHaveLength(64);
  for (let at = 0; at < 1_000; at++) demand.record("kind 99", shape, 1);
  expect(demand.wanted(1)[0]).toEqual({ id: "kind 99", shape, count: 256 });
});

test("SpareDemand: merges kinds whose fingerprint has become the same", () => {
  const demand = new SpareDemand();
  for (const at of [0, 5_000]) demand.record("a", shape, at);
  for (const at of [1_000, 1_001]) demand.record("b", shape, at);
  demand.rekey(() => "c");
  expect(demand.wanted(5_000)).toEqual([{ id: "c", shape, count: 3 }]);
  expect(demand.wanted(605_000)).toEqual([]);
});

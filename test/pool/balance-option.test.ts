import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { SessionName } from "../../src/names.ts";
import {
  anyOf,
  balancerOf,
  hashedOf,
  leastBusyOf,
  nextOf,
  weightAfter,
  weightedOf,
} from "../../src/pool/balance-option.ts";
import type { Candidate } from "../../src/pool/balancer.ts";
import { candidateOf, pickCandidate } from "../../src/pool/balancer.ts";

const some = (name: SessionName, facts: Partial<Candidate> = {}): Candidate => ({
  name,
  state: "idle",
  load: 0,
  errors: 0,
  ...facts,
});

const anyCandidates = fc
  .uniqueArray(
    fc.record({
      name: fc.tuple(fc.constant("pool"), fc.nat(50)),
      state: fc.constantFrom<Candidate["state"]>("idle", "busy", "hibernated", "starting", "restarting", "waiting"),
      load: fc.nat(5),
      errors: fc.float({ min: 0, max: 10, noNaN: true }),
    }),
    { selector: ({ name }) => name[1], minLength: 1, maxLength: 12 },
  )
  .map((list): Candidate[] => list.map((one) => ({ ...one, name: ["pool", one.name[1]] })));

const anyChance = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });

test.each([
  ["the lowest load", [some("a", { load: 2 }), some("b", { load: 1 })], "b"],
  ["at equal load, a running process", [some("a", { state: "hibernated" }), some("b")], "b"],
  [
    "at equal load, one that is not restarting",
    [some("a", { state: "restarting" }), some("b", { state: "hibernated" })],
    "b",
  ],
  ["at equal load, the fewest errors", [some("a", { errors: 1 }), some("b", { errors: 0.5 })], "b"],
  ["at equality, the first", [some("a"), some("b")], "a"],
  ["the load before all else", [some("a", { load: 1 }), some("b", { state: "restarting", errors: 5 })], "b"],
])("leastBusyOf(): picks %s", (_, candidates, expected) => {
  expect(leastBusyOf(candidates)?.name).toBe(expected);
});

test('balancerOf("least_busy"): takes turns among equal candidates', () => {
  const names = ["a", "b", "c", "d"];
  const { pick } = balancerOf("least_busy", () => names);
  const next = (...candidates: Candidate[]): SessionName | undefined =>
    pick(candidates, { key: undefined, random: 0 })?.name;
  const up = [some("a"), some("b", { errors: 0.01 }), some("c"), some("d", { state: "hibernated" })];
  expect([1, 2, 3, 4, 5, 6].map(() => next(...up))).toEqual(["a", "b", "c", "a", "b", "c"]);
  // A candidate that was absent comes next, unless it is busier or has errors.
  expect([1, 2].map(() => next(some("a"), some("b")))).toEqual(["a", "b"]);
  expect(next(some("a"), some("b"), some("c"))).toBe("c");
  expect(next(some("a"), some("b", { load: 1 }), some("c", { errors: 1 }))).toBe("a");
});

test.each([
  [undefined, ["a", "b", "c"], "a"],
  ["a", ["a", "b", "c"], "b"],
  ["c", ["a", "b", "c"], "a"],
  ["a", ["c"], "c"],
  ["b", ["a", "b"], "a"],
  // The last pick no longer exists.
  ["x", ["a", "b"], "a"],
])("nextOf(): after %s of %j, picks %s", (last, present, expected) => {
  const candidates = present.map((name) => some(name));
  expect(nextOf(candidates, ["a", "b", "c"], last)?.name).toBe(expected);
});

test('balancerOf("round_robin"): picks all equally often', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 5 }), (n, rounds) => {
      const names = Array.from({ length: n }, (_, index) => `s${index}`);
      const { pick } = balancerOf("round_robin", () => names);
      const picks = Array.from({ length: n * rounds }, () =>
        pick(
          names.map((name) => some(name)),
          { key: undefined, random: 0 },
        ),
      );
      for (const name of names) expect(picks.filter((one) => one?.name === name)).toHaveLength(rounds);
    }),
  );
});

test.each([0, 0.1, 0.49, 0.5, 0.99, 1])("anyOf(): picks by the random number %s", (random) => {
  const list = [some("a"), some("b")];
  expect(anyOf(list, random)).toBe(list[random < 0.5 ? 0 : 1]);
});

describe("weightedOf() and weightAfter()", () => {
  test("halve a weight for one error, and leave less for more", () => {
    expect(weightAfter(4, 0)).toBe(4);
    expect(weightAfter(4, 1)).toBe(2);
    expect(weightAfter(4, 3)).toBe(1);
  });

  test("pick in proportion to the weights", () => {
    const candidates = [some("a"), some("b", { errors: 1 }), some("c")];
    const weights = new Map<SessionName, number>([
      ["a", 1],
      ["b", 2],
      ["c", 2],
    ]);
    const counts = new Map<SessionName, number>();
    for (let at = 0; at < 400; at++) {
      const pick = weightedOf(candidates, ({ name }) => weights.get(name) ?? 0, at / 400);
      counts.set(pick?.name ?? "", (counts.get(pick?.name ?? "") ?? 0) + 1);
    }
    expect(Object.fromEntries(counts)).toEqual({ a: 100, b: 100, c: 200 });
  });

  test("never pick a candidate of weight 0", () => {
    fc.assert(
      fc.property(anyCandidates, anyChance, (candidates, random) => {
        const [first] = candidates;
        const pick = weightedOf(candidates, (one) => (one === first ? 0 : 1), random);
        expect(pick).not.toBe(first);
        expect(pick === undefined).toBe(candidates.length === 1);
      }),
    );
  });
});

describe("hashedOf()", () => {
  const keys = Array.from({ length: 2_000 }, (_, index) => `user-${index}`);
  const members = (n: number): Candidate[] => Array.from({ length: n }, (_, index) => some(["pool", index]));

  test("picks the same candidate for a key, in any order of candidates", () => {
    fc.assert(
      fc.property(anyCandidates, fc.string(), (candidates, key) => {
        expect(hashedOf(candidates.toReversed(), key)?.name).toEqual(hashedOf(candidates, key)?.name);
      }),
    );
  });

  test("moves only the keys of a candidate that is removed", () => {
    fc.assert(
      fc.property(anyCandidates, fc.string(), fc.nat(), (candidates, key, at) => {
        const gone = candidates[at % candidates.length];
        const rest = candidates.filter((one) => one !== gone);
        const [before, after] = [hashedOf(candidates, key), hashedOf(rest, key)];
        if (before !== gone) expect(after).toBe(before);
      }),
    );
  });

  test("spreads keys evenly, and gives a ninth member about a ninth of them", () => {
    const falls = (n: number): (string | undefined)[] =>
      keys.map((key) => JSON.stringify(hashedOf(members(n), key)?.name));
    const [eight, nine] = [falls(8), falls(9)];
    for (const { name } of members(8)) {
      const share = eight.filter((one) => one === JSON.stringify(name)).length / keys.length;
      expect(share).toBeGreaterThan(0.09);
      expect(share).toBeLessThan(0.16);
    }
    const moved = keys.filter((_, at) => eight[at] !== nine[at]).length / keys.length;
    expect(moved).toBeGreaterThan(0.07);
    expect(moved).toBeLessThan(0.16);
  });
});

test("pickCandidate(): returns one of the candidates for every balancer", () => {
  const kinds = ["least_busy", "round_robin", "random", "weighted", "consistent_hash"] as const;
  fc.assert(
    fc.property(
      fc.constantFrom(...kinds),
      anyCandidates,
      anyChance,
      fc.option(fc.string()),
      (kind, list, random, key) => {
        const balancer = balancerOf(kind, () => list.map(({ name }) => name));
        expect(list).toContain(pickCandidate(balancer, list, key ?? undefined, random));
      },
    ),
  );
});

test("pickCandidate(): returns undefined when a balancer picks no candidate", () => {
  const stray = some("stray");
  expect(pickCandidate({ pick: () => stray }, [some("a")], undefined, 0)).toBeUndefined();
  expect(pickCandidate({ pick: () => undefined }, [some("a")], undefined, 0)).toBeUndefined();
  expect(pickCandidate({ pick: ([first]) => first }, [], undefined, 0)).toBeUndefined();
});

test.each([
  ["idle", 0, 0],
  ["busy", 2, 3],
  ["waiting", 1, 2],
  ["hibernated", 0, 0],
  ["restarting", 3, 3],
] as const)("candidateOf(): a session that is %s with a mailbox of %d has the load %d", (state, mailbox, load) => {
  expect(candidateOf("a", { state, mailbox }, 0)).toEqual({ name: "a", state, load, errors: 0 });
});

test.each(["quarantined", "stopped"] as const)("candidateOf(): returns undefined for a session that is %s", (state) => {
  expect(candidateOf("a", { state, mailbox: 0 }, 0)).toBeUndefined();
});

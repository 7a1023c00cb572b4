import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  conditionOf,
  isMixed,
  matchingOwners,
  ownerRowOf,
  ownersQueryOf,
  ownersViewOf,
  targetsFor,
} from "../../src/page/store/cluster.ts";
import type { NodeInfo } from "../../src/wire/cluster.ts";

function node(name: string, of: Partial<NodeInfo> = {}): NodeInfo {
  const lease = { silentForMs: 200, staleAfterMs: 5_000 };
  return { name, address: `http://${name}:1`, release: "1.0.0", state: "alive", load: 0, labels: {}, ...lease, ...of };
}

describe("nodes", () => {
  test.each([
    [{}, "alive"],
    [{ silentForMs: 2_500 }, "alive"],
    [{ silentForMs: 2_501 }, "silent"],
    [{ silentForMs: 900, staleAfterMs: 1_500 }, "silent"],
    [{ silentForMs: 4_000, state: "draining" }, "draining"],
    [{ silentForMs: 90_000, state: "dead" }, "dead"],
  ] as const)("%j is %s", (of, condition) => {
    expect(conditionOf(node("a", of))).toBe(condition);
  });

  test("a session can move to another living node, the least loaded one first", () => {
    const nodes = [
      node("full", { load: 4, maxProcesses: 4 }),
      node("large", { load: 8, maxProcesses: 64 }),
      node("small", { load: 1, maxProcesses: 4 }),
      node("owner"),
      node("dead", { state: "dead" }),
      node("draining", { state: "draining" }),
    ];
    expect(targetsFor(nodes, "owner").map(({ name }) => name)).toEqual(["large", "small", "full"]);
    expect(targetsFor(nodes, undefined).map(({ name }) => name)).toEqual(["owner", "large", "small", "full"]);
    expect(targetsFor([], "owner")).toEqual([]);
  });

  test("releases differ only among nodes that run", () => {
    expect(isMixed([node("a"), node("b", { release: "1.1.0" })])).toBe(true);
    expect(isMixed([node("a"), node("b", { release: "1.1.0", state: "dead" })])).toBe(false);
    expect(isMixed([])).toBe(false);
  });
});

describe("owners", () => {
  const rows = [
    ownerRowOf({ name: { global: ["support", "Ann"] }, state: "owned", node: "one", title: "Bills" }),
    ownerRowOf({ name: { global: "a\u202eb" }, state: "stored", labels: { user: "bob" } }),
  ];
  const found = (text: string, name?: string): string[] =>
    matchingOwners(rows, { text, node: name }).map(({ label }) => label);

  test("are named without what is the same for all, and without characters that mislead", () => {
    expect(found("")).toEqual(["support / Ann", "a\\u202eb"]);
  });

  test.each([
    ["ANN", ["support / Ann"]],
    ["bills one", ["support / Ann"]],
    ["user=bob", ["a\\u202eb"]],
    ["ann bob", []],
  ])("are found by name, title, label and node: %s", (text, labels) => {
    expect(found(text)).toEqual(labels);
  });

  test("are those of a node, or of all", () => {
    expect(found("", "one")).toEqual(["support / Ann"]);
    expect(found("", "two")).toEqual([]);
  });

  test("have a view that is the same after it was in an address", () => {
    const view = fc.record({ text: fc.string(), node: fc.option(fc.string(), { nil: undefined }) });
    fc.assert(
      fc.property(view, (given) => {
        expect(ownersViewOf(new URLSearchParams(ownersQueryOf(given)))).toEqual(given);
      }),
    );
    expect(ownersQueryOf({ text: "", node: undefined })).toBe("");
  });
});

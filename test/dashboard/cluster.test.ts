import { signal } from "@preact/signals";
import fc from "fast-check";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { CastellanApiError } from "../../src/client/index.ts";
import {
  conditionOf,
  isMixed,
  matchingOwners,
  ownerRowOf,
  ownersQueryOf,
  ownersViewOf,
  targetsFor,
} from "../../src/page/store/cluster.ts";
import { ClusterFeed } from "../../src/page/store/cluster-feed.ts";
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

describe("the feed", () => {
  /** Follows a cluster whose number of sessions changes all the time, for a minute. */
  async function minuteOf(ownersMs: number, nodesOf?: () => Promise<never>): Promise<Readonly<Record<string, number>>> {
    vi.useFakeTimers();
    onTestFinished(() => void vi.useRealTimers());
    const asked = { nodes: 0, owners: 0 };
    const memory = { usedBytes: 1, totalBytes: 2 };
    const report = { processes: 0, waiting: 0, turns: 0, memory, nodeRelease: "24.1.0" };
    const feed = new ClusterFeed(
      {
        state: signal("live"),
        client: {
          nodes: async () => {
            asked.nodes += 1;
            await nodesOf?.();
            return [node("a", { report: { ...report, sessions: asked.nodes } })];
          },
          storage: async () => ({ journal: { kind: "memory", location: "memory" } }),
          async *globalSessions() {
            asked.owners += 1;
            await new Promise((resolve) => setTimeout(resolve, ownersMs));
            yield* [];
          },
          session: () => {
            throw new Error("not asked");
          },
        },
      },
      () => true,
    );
    feed.start();
    await vi.advanceTimersByTimeAsync(60_000);
    feed.stop();
    const { refused } = feed;
    const before = { ...asked, refused: Number(refused.value) };
    await vi.advanceTimersByTimeAsync(60_000);
    expect(asked).toEqual({ nodes: before.nodes, owners: before.owners });
    return before;
  }

  test("reads the owners as often as it can afford while they change", async () => {
    expect((await minuteOf(5))["owners"]).toBeGreaterThan(25);
    const slow = await minuteOf(1_500);
    expect(slow["owners"]).toBeGreaterThan(2);
    expect(slow["owners"]).toBeLessThan(6);
  });

  test("asks once if the server refuses", async () => {
    const refuse = async (): Promise<never> => {
      throw new CastellanApiError("FORBIDDEN", "no", { status: 403 });
    };
    expect(await minuteOf(5, refuse)).toEqual({ nodes: 1, owners: 0, refused: 1 });
  });
});

import { describe, expect, test } from "vitest";
import type { Engine, NodeEntry, SessionOwnership } from "../../src/cluster/protocol/engine.ts";
import { destinationOf, Router } from "../../src/cluster/router.ts";
import { CastellanError } from "../../src/errors.ts";
import { nameKey } from "../../src/names.ts";
import { SimulatedClock } from "../../src/testing/index.ts";
import { node } from "./engine-conformance.ts";

const KEY = nameKey(["global", "support", 42]);
const POOL = nameKey(["global", "summaries"]);
const HOSTS = { sessions: [], templates: ["support"], pools: ["summaries"] };

function entry(boot: string, changed: Partial<NodeEntry> = {}): NodeEntry {
  const state = { load: 0, draining: false, alive: true, aliveForMs: 5_000 };
  return { ...node(boot, { hosts: HOSTS, protocols: [1, 1] }), ...state, ...changed };
}

/** A cluster as one of its machines sees it. */
function scene(...nodes: NodeEntry[]) {
  const clock = new SimulatedClock();
  const owners = new Map<string, string>();
  const asked = { nodes: 0, owner: 0 };
  let fault: CastellanError | undefined;
  const engine: Pick<Engine, "nodes" | "ownerOf"> = {
    nodes: async () => {
      asked.nodes++;
      if (fault !== undefined) throw fault;
      return nodes;
    },
    ownerOf: async (key): Promise<SessionOwnership | undefined> => {
      asked.owner++;
      if (fault !== undefined) throw fault;
      const boot = owners.get(key);
      const owner = nodes.find((one) => one.boot === boot);
      return owner && { boot: owner.boot, epoch: 1, node: owner };
    },
  };
  const router = new Router(engine as Engine, clock);
  const fail = (error?: CastellanError): void => {
    fault = error;
  };
  return { clock, owners, nodes, asked, router, fail };
}

describe("where a session is", () => {
  test("with its owner, who is asked for once", async () => {
    const { router, owners, asked } = scene(entry("a"), entry("b"));
    owners.set(KEY, "b");
    const route = { to: { boot: "b", address: "http://b:7700", protocol: 1 }, claim: false, pool: false };
    expect(await router.locate(KEY)).toEqual(route);
    for (let at = 0; at < 10; at++) expect(await router.locate(KEY)).toEqual(route);
    expect(asked).toEqual({ nodes: 1, owner: 1 });
  });

  test("nowhere: the least loaded node is to claim it, and each that is sent there counts", async () => {
    const { router } = scene(entry("a", { load: 1 }), entry("b"));
    const boots: string[] = [];
    for (let at = 0; at < 4; at++) {
      const { to, claim } = await router.locate(nameKey(["global", "support", at]));
      expect(claim).toBe(true);
      boots.push(to.boot);
    }
    expect(boots).toEqual(["b", "a", "b", "a"]);
  });

  test("with an owner that is dead: another one is to claim it", async () => {
    const { router, owners } = scene(entry("a", { alive: false }), entry("b", { load: 3 }));
    owners.set(KEY, "a");
    expect(await router.locate(KEY)).toMatchObject({ to: { boot: "b" }, claim: true });
  });

  test("with an owner that drains: there, until it has been given up", async () => {
    const { router, owners } = scene(entry("a", { draining: true }), entry("b"));
    owners.set(KEY, "a");
    expect(await router.locate(KEY)).toMatchObject({ to: { boot: "a" }, claim: false });
  });

  test("nowhere, and no node could have it", async () => {
    const reason = async (...nodes: NodeEntry[]): Promise<string> => {
      const error = await scene(...nodes)
        .router.locate(KEY)
        .catch((thrown: unknown) => thrown);
      if (!CastellanError.is(error, "CLUSTER_UNAVAILABLE")) throw error;
      expect(error.details).toEqual({ reason: "no_node" });
      expect(error.message).toContain('["global","support",42]');
      return error.message;
    };
    expect(await reason()).toContain("there is no node at all");
    expect(await reason(entry("a", { draining: true }))).toContain("none of the 1 nodes");
    expect(await reason(entry("a", { hosts: node("a").hosts }))).toContain("declare it");
    expect(await reason(entry("a", { protocols: [7, 9] }))).toContain("none of the 1 nodes");
  });

  test("with an owner whose release is too far apart", async () => {
    const { router, owners } = scene(entry("a", { protocols: [7, 9], release: "9.0.0" }), entry("b"));
    owners.set(KEY, "a");
    await expect(router.locate(KEY)).rejects.toMatchObject({
      code: "CLUSTER_UNAVAILABLE",
      details: { reason: "protocol" },
      message: expect.stringContaining("9.0.0"),
    });
    expect(destinationOf(entry("b", { protocols: [1, 4] })).protocol).toBe(1);
  });
});

describe("after a failure", () => {
  test("one that did not answer is asked again as long as it counts as alive, and its nodes are looked at anew", async () => {
    const { router, owners, nodes, asked, clock } = scene(entry("a"), entry("b"));
    owners.set(KEY, "a");
    await router.locate(KEY);
    await clock.advance(150);
    const failed = { boot: "a", answered: false };
    expect(await router.locate(KEY, failed)).toMatchObject({ to: { boot: "a" }, claim: false });
    expect(asked).toEqual({ nodes: 2, owner: 1 });
    nodes[0] = entry("a", { alive: false });
    await clock.advance(150);
    expect(await router.locate(KEY, failed)).toMatchObject({ to: { boot: "b" }, claim: true });
  });

  test("one that answered that it is not the owner is not taken for it again", async () => {
    const { router, owners, clock } = scene(entry("a"), entry("b"));
    owners.set(KEY, "a");
    await router.locate(KEY);
    owners.set(KEY, "b");
    await clock.advance(150);
    expect(await router.locate(KEY, { boot: "a", answered: true })).toMatchObject({ to: { boot: "b" }, claim: false });
  });

  test("many that fail at once look together", async () => {
    const { router, asked, clock } = scene(entry("a"));
    await clock.advance(150);
    const keys = Array.from({ length: 50 }, (_, at) => nameKey(["global", "support", at]));
    await Promise.all(keys.map((key) => router.locate(key, { boot: "a", answered: false })));
    expect(asked.nodes).toBe(1);
  });

  test("of the database, the next one asks again", async () => {
    const { router, fail, asked } = scene(entry("a"));
    fail(new CastellanError("DATABASE_UNAVAILABLE", "away", { details: { reason: "unreachable" } }));
    await expect(router.locate(KEY)).rejects.toMatchObject({ code: "DATABASE_UNAVAILABLE" });
    fail();
    expect(await router.locate(KEY)).toMatchObject({ to: { boot: "a" } });
    expect(asked.nodes).toBe(2);
  });
});

describe("what is remembered", () => {
  test("is what was learnt last, until it is forgotten", async () => {
    const { router, asked } = scene(entry("a"), entry("b"));
    router.learn(KEY, "b");
    expect(await router.locate(KEY)).toMatchObject({ to: { boot: "b" }, claim: false });
    router.forget(KEY, "a");
    expect(await router.locate(KEY)).toMatchObject({ to: { boot: "b" } });
    router.forget(KEY, "b");
    await router.locate(KEY);
    expect(asked.owner).toBe(1);
  });

  test("has a bound: what was used longest ago is asked for again", async () => {
    const { router, asked } = scene(entry("a"));
    for (let at = 0; at <= 20_000; at++) router.learn(nameKey(["global", "support", at]), "a");
    await router.locate(nameKey(["global", "support", 1]));
    expect(asked.owner).toBe(0);
    await router.locate(nameKey(["global", "support", 0]));
    expect(asked.owner).toBe(1);
  });
});

describe("a pool", () => {
  test("is where there is the least to do, without an owner", async () => {
    const { router, asked } = scene(entry("a", { load: 1 }), entry("b"), entry("c", { hosts: node("c").hosts }));
    const boots: string[] = [];
    for (let at = 0; at < 3; at++) {
      const { to, claim, pool } = await router.locate(POOL);
      expect([claim, pool]).toEqual([false, true]);
      boots.push(to.boot);
    }
    expect(boots).toEqual(["b", "a", "b"]);
    expect(asked.owner).toBe(0);
  });

  test("is asked on another node than the one that has just failed, if there is one", async () => {
    const failed = { boot: "a", answered: false };
    const two = scene(entry("a"), entry("b", { load: 60 }));
    expect(await two.router.locate(POOL, failed)).toMatchObject({ to: { boot: "b" } });
    const one = scene(entry("a"));
    expect(await one.router.locate(POOL, failed)).toMatchObject({ to: { boot: "a" } });
  });

  test("that no node has at this moment is no session either", async () => {
    const { router } = scene(entry("a", { draining: true }));
    await expect(router.locate(POOL)).rejects.toMatchObject({ details: { reason: "no_node" } });
  });
});

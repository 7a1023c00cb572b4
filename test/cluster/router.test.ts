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

/** Returns the router of one machine and its engine. */
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

describe("Router.locate", () => {
  test("returns the owner, which it asks for once", async () => {
    const { router, owners, asked } = scene(entry("a"), entry("b"));
    owners.set(KEY, "b");
    const route = {
      to: { boot: "b", address: "http://b:7700", protocol: 1 },
      claim: false,
      pool: false,
      confirms: false,
    };
    expect(await router.locate(KEY)).toEqual(route);
    for (let at = 0; at < 10; at++) expect(await router.locate(KEY)).toEqual(route);
    expect(asked).toEqual({ nodes: 1, owner: 1 });
  });

  test("returns the least loaded node to claim a session without an owner, and counts each", async () => {
    const { router } = scene(entry("a", { load: 1 }), entry("b"));
    const boots: string[] = [];
    for (let at = 0; at < 4; at++) {
      const { to, claim } = await router.locate(nameKey(["global", "support", at]));
      expect(claim).toBe(true);
      boots.push(to.boot);
    }
    expect(boots).toEqual(["b", "a", "b", "a"]);
  });

  test("returns another node to claim the session of a dead owner", async () => {
    const { router, owners } = scene(entry("a", { alive: false }), entry("b", { load: 3 }));
    owners.set(KEY, "a");
    expect(await router.locate(KEY)).toMatchObject({ to: { boot: "b" }, claim: true });
  });

  test("returns a draining owner until it has released the session", async () => {
    const { router, owners } = scene(entry("a", { draining: true }), entry("b"));
    owners.set(KEY, "a");
    expect(await router.locate(KEY)).toMatchObject({ to: { boot: "a" }, claim: false });
  });

  test("rejects with CLUSTER_UNAVAILABLE and no_node when no node can host the session", async () => {
    const reason = async (...nodes: NodeEntry[]): Promise<string> => {
      const error = await scene(...nodes)
        .router.locate(KEY)
        .catch((thrown: unknown) => thrown);
      if (!CastellanError.is(error, "CLUSTER_UNAVAILABLE")) throw error;
      expect(error.details).toEqual({ reason: "no_node" });
      expect(error.message).toContain('["global","support",42]');
      return error.message;
    };
    expect(await reason()).toContain("the cluster has no nodes");
    expect(await reason(entry("a", { draining: true }))).toContain("none of the 1 nodes");
    expect(await reason(entry("a", { hosts: node("a").hosts }))).toContain("declare it");
    expect(await reason(entry("a", { protocols: [7, 9] }))).toContain("none of the 1 nodes");
  });

  test("rejects with CLUSTER_UNAVAILABLE and protocol when the owner's release is too far apart", async () => {
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

describe("Router.locate after a failure", () => {
  test("returns a silent owner again while it counts as alive, after one look at the nodes", async () => {
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

  test("asks for the owner again after a node answered not_owner", async () => {
    const { router, owners, clock } = scene(entry("a"), entry("b"));
    owners.set(KEY, "a");
    await router.locate(KEY);
    owners.set(KEY, "b");
    await clock.advance(150);
    expect(await router.locate(KEY, { boot: "a", answered: true })).toMatchObject({ to: { boot: "b" }, claim: false });
  });

  test("looks at the nodes once for many concurrent failures", async () => {
    const { router, asked, clock } = scene(entry("a"));
    await clock.advance(150);
    const keys = Array.from({ length: 50 }, (_, at) => nameKey(["global", "support", at]));
    await Promise.all(keys.map((key) => router.locate(key, { boot: "a", answered: false })));
    expect(asked.nodes).toBe(1);
  });

  test("asks again after the database failed", async () => {
    const { router, fail, asked } = scene(entry("a"));
    fail(new CastellanError("DATABASE_UNAVAILABLE", "away", { details: { reason: "unreachable" } }));
    await expect(router.locate(KEY)).rejects.toMatchObject({ code: "DATABASE_UNAVAILABLE" });
    fail();
    expect(await router.locate(KEY)).toMatchObject({ to: { boot: "a" } });
    expect(asked.nodes).toBe(2);
  });
});

describe("Router.learn", () => {
  test("decides the route until forget with the same node", async () => {
    const { router, asked } = scene(entry("a"), entry("b"));
    router.learn(KEY, "b");
    expect(await router.locate(KEY)).toMatchObject({ to: { boot: "b" }, claim: false });
    router.forget(KEY, "a");
    expect(await router.locate(KEY)).toMatchObject({ to: { boot: "b" } });
    router.forget(KEY, "b");
    await router.locate(KEY);
    expect(asked.owner).toBe(1);
  });

  test("keeps a bounded number of sessions, and drops the least recently used", async () => {
    const { router, asked } = scene(entry("a"));
    for (let at = 0; at <= 20_000; at++) router.learn(nameKey(["global", "support", at]), "a");
    await router.locate(nameKey(["global", "support", 1]));
    expect(asked.owner).toBe(0);
    await router.locate(nameKey(["global", "support", 0]));
    expect(asked.owner).toBe(1);
  });
});

describe("Router.locate for a pool", () => {
  test("returns the least loaded node that has the pool, without an owner", async () => {
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

  test("returns another node than the failed one, if there is one", async () => {
    const failed = { boot: "a", answered: false };
    const two = scene(entry("a"), entry("b", { load: 60 }));
    expect(await two.router.locate(POOL, failed)).toMatchObject({ to: { boot: "b" } });
    const one = scene(entry("a"));
    expect(await one.router.locate(POOL, failed)).toMatchObject({ to: { boot: "a" } });
  });

  test("returns nodes that have missed beats only if there is no other", async () => {
    const silent = entry("a", { aliveForMs: 2_400 });
    const two = scene(silent, entry("b", { load: 60 }));
    for (const key of [POOL, KEY]) expect(await two.router.locate(key)).toMatchObject({ to: { boot: "b" } });
    const one = scene(silent);
    for (const key of [POOL, KEY]) expect(await one.router.locate(key)).toMatchObject({ to: { boot: "a" } });
    // The session's owner is asked nevertheless: no other node may have the session yet.
    two.owners.set(nameKey(["global", "support", 43]), "a");
    expect(await two.router.locate(nameKey(["global", "support", 43]))).toMatchObject({ to: { boot: "a" } });
  });

  test("avoids a node that did not answer, for every name, until it answers or would count as dead", async () => {
    const { router, clock } = scene(entry("a"), entry("b", { load: 30 }));
    const other = nameKey(["global", "support", 7]);
    expect(await router.locate(POOL)).toMatchObject({ to: { boot: "a" } });
    expect(await router.locate(POOL, { boot: "a", answered: false })).toMatchObject({ to: { boot: "b" } });
    for (const key of [POOL, other]) expect(await router.locate(key)).toMatchObject({ to: { boot: "b" } });
    await clock.advance(5_000);
    expect(await router.locate(POOL)).toMatchObject({ to: { boot: "a" } });
    await router.locate(POOL, { boot: "a", answered: false });
    router.learn(KEY, "a");
    expect(await router.locate(POOL)).toMatchObject({ to: { boot: "a" } });
  });

  test("tells whether the node waits for the caller's confirmation", async () => {
    expect((await scene(entry("a")).router.locate(POOL)).confirms).toBe(false);
    const confirming = entry("a", { hosts: { ...HOSTS, confirms: true } });
    expect((await scene(confirming).router.locate(POOL)).confirms).toBe(true);
  });

  test("rejects with no_node when no node has the pool", async () => {
    const { router } = scene(entry("a", { draining: true }));
    await expect(router.locate(POOL)).rejects.toMatchObject({ details: { reason: "no_node" } });
  });
});

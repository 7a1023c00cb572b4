import { deepEqual, equal, ok } from "node:assert/strict";
import type { Claim, Engine, NodeDescription } from "../../src/cluster/protocol/engine.ts";
import type { SessionDescription } from "../../src/journal/model/session-entry.ts";
import { ALL_KEYS, compareKeys, rangesOf } from "../../src/journal/model/session-list.ts";
import type { ConformanceCase } from "../../src/testing/conformance/journal-conformance.ts";

/** An engine under test. */
export interface EngineBench extends AsyncDisposable {
  /** Connections to the same engine, one per node. At least two. */
  readonly engines: readonly [Engine, Engine, ...Engine[]];
  /** Advances the engine's clock. */
  advance(ms: number): Promise<void>;
  /** Records an accepted turn of the session in the cluster's journal. */
  accepted(key: string, turn: string): Promise<void>;
  /** Records a session in the cluster's journal, with its description. */
  described(key: string, description: SessionDescription): Promise<void>;
  /** Records a job of a pool. Without `dueInMs` it is due. */
  enqueued(key: string, job: string, priority?: number, dueInMs?: number): Promise<void>;
  /** Records a schedule of a session. */
  scheduled(key: string, job: string, dueInMs: number): Promise<void>;
  /** Records that a job is gone. */
  dropped(job: string): Promise<void>;
  /** Records the end of a turn. */
  ended(turn: string): Promise<void>;
}

/**
 * Returns the cases that every engine must pass, for any test runner.
 *
 * @param open returns an empty engine, another one each time
 */
export function engineConformance(open: () => Promise<EngineBench>): readonly ConformanceCase[] {
  return Object.entries(CASES).map(([name, check]) => ({
    name,
    run: async () => {
      await using bench = await open();
      await check(bench);
    },
  }));
}

/** Returns the description of a node with the given changes. */
export function node(boot: string, changed: Partial<NodeDescription> = {}): NodeDescription {
  return {
    boot,
    name: `node of ${boot}`,
    address: `http://${boot}:7700`,
    protocols: [1, 2],
    release: "1.2.3",
    labels: {},
    hosts: { sessions: [], templates: [], pools: [] },
    maxProcesses: undefined,
    staleMs: 5_000,
    ...changed,
  };
}

const IDLE = { load: 0, draining: false };
const DRAINING = { load: 0, draining: true };
const KEY = '["global","a"]';
const UNUSUAL = "\uD83D|\u0000|'|\"|\\|../%_|😀|\u2028|'); DROP TABLE nodes; --";

function epochOf(claim: Claim): number {
  ok(claim.taken, "the claim was to be granted");
  return claim.epoch;
}

function refused(claim: Claim): string | undefined {
  ok(!claim.taken, "the claim was to be refused");
  return claim.owner?.boot;
}

const CASES: { readonly [name: string]: (bench: EngineBench) => Promise<void> } = {
  "is empty at first": async ({ engines: [engine] }) => {
    deepEqual(await engine.nodes(), []);
    equal(await engine.ownerOf(KEY), undefined);
    deepEqual(await engine.unattended([], 10), []);
    deepEqual(await engine.sessions(""), []);
    equal(await engine.renew("nobody", IDLE), false);
    await engine.leave("nobody");
    await engine.release("nobody", KEY, 1);
    equal(refused(await engine.claim("nobody", KEY)), undefined);
    deepEqual(await engine.sessions(""), []);
  },

  "returns a node's description to every node": async ({ engines: [engine, other] }) => {
    const described = node(UNUSUAL, {
      name: UNUSUAL,
      address: UNUSUAL,
      release: UNUSUAL,
      labels: { [UNUSUAL]: UNUSUAL },
      hosts: { sessions: [UNUSUAL], templates: ["user"], pools: ["p"] },
      maxProcesses: 7,
    });
    await engine.join(described);
    await engine.join(node("b"));
    const report = {
      ...{ sessions: 3, processes: 2, waiting: 1, turns: 1, memory: { usedBytes: 3e9, totalBytes: 8e9 } },
      ...{ nodeRelease: "24.1.0", claudeRelease: "2.1.332 'beta'" },
    };
    equal(await engine.renew(UNUSUAL, { load: 2.5, draining: true, report }), true);
    const found = (await other.nodes()).find(({ boot }) => boot === UNUSUAL);
    ok(found !== undefined && found.aliveForMs > 0 && found.aliveForMs <= 5_000);
    deepEqual(found, { ...described, load: 2.5, draining: true, report, alive: true, aliveForMs: found.aliveForMs });
    const plain = (await other.nodes()).find(({ boot }) => boot === "b");
    deepEqual([plain?.load, plain?.draining, plain?.maxProcesses], [0, false, undefined]);
    ok(plain !== undefined && !("report" in plain));
    // A node of an earlier release reports nothing.
    equal(await engine.renew(UNUSUAL, IDLE), true);
    ok(!("report" in ((await other.nodes()).find(({ boot }) => boot === UNUSUAL) ?? { report: 0 })));
  },

  "keeps one entry for a node that joins again": async ({ engines: [engine] }) => {
    await engine.join(node("a"));
    await engine.join(node("a", { address: "http://moved:1" }));
    deepEqual(
      (await engine.nodes()).map(({ boot, address }) => [boot, address]),
      [["a", "http://moved:1"]],
    );
  },

  "takes a node for dead after its staleMs without a renewal, and for alive after the next one": async ({
    engines: [engine],
    advance,
  }) => {
    await engine.join(node("quick", { staleMs: 1_000 }));
    await engine.join(node("slow", { staleMs: 10_000 }));
    await advance(2_000);
    const alive = async (): Promise<unknown> =>
      Object.fromEntries((await engine.nodes()).map((each) => [each.boot, each.alive && each.aliveForMs > 0]));
    deepEqual(await alive(), { quick: false, slow: true });
    equal(await engine.renew("quick", IDLE), true);
    deepEqual(await alive(), { quick: true, slow: true });
  },

  "grants a session to its first claimant, repeatedly under the same epoch": async ({ engines: [engine, other] }) => {
    await engine.join(node("a"));
    await engine.join(node("b"));
    const epoch = epochOf(await engine.claim("a", KEY));
    equal(epochOf(await other.claim("a", KEY)), epoch);
    const claim = await other.claim("b", KEY);
    ok(!claim.taken);
    deepEqual([claim.owner?.boot, claim.owner?.epoch, claim.owner?.node.address], ["a", epoch, "http://a:7700"]);
    const owner = await other.ownerOf(KEY);
    deepEqual([owner?.boot, owner?.epoch, owner?.node.alive], ["a", epoch, true]);
    equal(await other.ownerOf('["global","b"]'), undefined);
  },

  "grants a session of a stale node to another, by the stale node's own staleMs": async ({
    engines: [engine, other],
    advance,
  }) => {
    await engine.join(node("owner", { staleMs: 10_000 }));
    await engine.join(node("next", { staleMs: 60_000 }));
    const epoch = epochOf(await engine.claim("owner", KEY));
    epochOf(await engine.claim("owner", '["global","b"]'));
    await advance(8_000);
    equal(refused(await other.claim("next", KEY)), "owner");
    await advance(4_000);
    equal((await other.ownerOf(KEY))?.node.alive, false);
    ok(epochOf(await other.claim("next", KEY)) > epoch);
    equal((await engine.ownerOf(KEY))?.boot, "next");
  },

  "gives a node up for good, with all its sessions, once a session was taken from it": async ({
    engines: [engine, other],
    advance,
  }) => {
    const second = '["global","b"]';
    await engine.join(node("owner"));
    await engine.join(node("next", { staleMs: 60_000 }));
    epochOf(await engine.claim("owner", KEY));
    const epoch = epochOf(await engine.claim("owner", second));
    await advance(6_000);
    epochOf(await other.claim("next", KEY));
    equal(await engine.renew("owner", IDLE), false);
    await engine.join(node("owner"));
    equal(await engine.renew("owner", IDLE), false);
    equal(await other.ownerOf(second), undefined);
    equal(refused(await engine.claim("owner", second)), undefined);
    equal(refused(await engine.claim("owner", '["global","new"]')), undefined);
    ok(epochOf(await other.claim("next", second)) > epoch);
    deepEqual(
      (await other.nodes()).map(({ boot }) => boot),
      ["next"],
    );
  },

  "renews a stale node from which no session was taken": async ({ engines: [engine, other], advance }) => {
    await engine.join(node("owner"));
    await engine.join(node("next", { staleMs: 60_000 }));
    const epoch = epochOf(await engine.claim("owner", KEY));
    await advance(50_000);
    equal(await engine.renew("owner", IDLE), true);
    equal(refused(await other.claim("next", KEY)), "owner");
    equal(epochOf(await engine.claim("owner", KEY)), epoch);
  },

  "grants nothing to a node that is stale, drains or has left, and ends no other node for it": async ({
    engines: [engine],
    advance,
  }) => {
    const free = '["global","free"]';
    await engine.join(node("owner"));
    epochOf(await engine.claim("owner", KEY));
    for (const boot of ["stale", "drains", "gone"]) await engine.join(node(boot, { staleMs: 6_000 }));
    const own = epochOf(await engine.claim("drains", '["global","own"]'));
    await advance(7_000);
    await engine.renew("drains", DRAINING);
    await engine.leave("gone");
    for (const boot of ["stale", "drains", "gone"]) {
      equal(refused(await engine.claim(boot, KEY)), undefined);
      equal(refused(await engine.claim(boot, free)), undefined);
    }
    // A repeated claim of a session that it owns already succeeds.
    equal(epochOf(await engine.claim("drains", '["global","own"]')), own);
    equal(await engine.renew("owner", IDLE), true);
    equal((await engine.ownerOf(KEY))?.boot, "owner");
    equal(await engine.ownerOf(free), undefined);
  },

  "frees a session on release by its owner under its epoch, and otherwise not": async ({
    engines: [engine, other],
  }) => {
    await engine.join(node("a"));
    await engine.join(node("b"));
    const first = epochOf(await engine.claim("a", KEY));
    await other.release("b", KEY, first);
    await other.release("a", KEY, first + 1);
    equal((await other.ownerOf(KEY))?.boot, "a");
    await engine.release("a", KEY, first);
    await engine.release("a", KEY, first);
    equal(await other.ownerOf(KEY), undefined);
    const second = epochOf(await engine.claim("a", KEY));
    ok(second > first);
    await engine.release("a", KEY, first);
    equal((await other.ownerOf(KEY))?.epoch, second);
    await engine.release("a", KEY, second);
    ok(epochOf(await other.claim("b", KEY)) > second);
  },

  "forgets a free session, and never grants one of its epochs again": async ({ engines: [engine, other] }) => {
    await Promise.all(["a", "b"].map((boot) => engine.join(node(boot))));
    equal(epochOf(await engine.claim("a", KEY)), 1);
    await engine.forget(KEY);
    equal((await engine.ownerOf(KEY))?.epoch, 1, "one that is owned is not forgotten");
    await engine.release("a", KEY, 1);
    equal(epochOf(await other.claim("b", KEY)), 2);
    await other.release("b", KEY, 2);
    await Promise.all([engine.forget(KEY), other.forget(KEY)]);
    await engine.forget(KEY);
    deepEqual(await engine.sessions(""), []);
    equal(await engine.ownerOf(KEY), undefined);
    const epoch = epochOf(await engine.claim("a", KEY));
    ok(epoch > 2, `${epoch} has been before`);
    // A late release under an earlier epoch does not release this one.
    for (const old of [1, 2]) await engine.release("a", KEY, old);
    equal((await engine.ownerOf(KEY))?.epoch, epoch);
    equal(epochOf(await engine.claim("a", KEY)), epoch);
    const next = '["global","next"]';
    ok(epochOf(await other.claim("b", next)) > 0);
    await engine.release("a", KEY, epoch);
    equal(epochOf(await other.claim("b", KEY)), epoch + 1);
  },

  "either forgets a session or grants it when both are requested at once": async ({ engines: [engine, other] }) => {
    await engine.join(node("a"));
    let last = 0;
    for (let n = 0; n < 20; n++) {
      const [claim] = await Promise.all([engine.claim("a", KEY), other.forget(KEY)]);
      const epoch = epochOf(claim);
      ok(epoch > last, `${epoch} after ${last}`);
      equal((await other.ownerOf(KEY))?.epoch, epoch);
      last = epoch;
      await engine.release("a", KEY, epoch);
    }
  },

  "refuses a node whose name a live node has": async ({ engines: [engine, other], advance }) => {
    const name = UNUSUAL;
    equal(await engine.join(node("a", { name })), undefined);
    const holder = await other.join(node("b", { name }));
    ok(holder !== undefined && holder.aliveForMs > 0 && holder.aliveForMs <= 5_000);
    deepEqual([holder.boot, holder.address], ["a", "http://a:7700"]);
    equal(await other.renew("b", IDLE), false);
    equal((await engine.nodes()).length, 1);
    equal((await other.join(node("b", { name })))?.renewedAt, holder.renewedAt);
    await advance(1_000);
    equal(await engine.renew("a", IDLE), true);
    const renewed = await other.join(node("b", { name }));
    ok(renewed !== undefined && renewed.renewedAt > holder.renewedAt - 1_000);
    await engine.renew("a", DRAINING);
    equal((await other.join(node("b", { name })))?.boot, "a");
    equal(await other.join(node("c")), undefined);
    await advance(6_000);
    equal(await other.join(node("b", { name })), undefined);
    await other.leave("b");
    equal(await engine.join(node("d", { name })), undefined);
  },

  "adds one of the nodes that join at once under one name": async ({ engines }) => {
    const boots = Array.from({ length: 6 }, (_, n) => `node ${n}`);
    const holders = await Promise.all(
      boots.map((boot, n) => (engines[n % engines.length] ?? engines[0]).join(node(boot, { name: "one" }))),
    );
    const joined = boots.filter((_, n) => holders[n] === undefined);
    equal(joined.length, 1);
    deepEqual(new Set(holders.map((holder) => holder?.boot ?? joined[0])), new Set(joined));
  },

  "frees all sessions of a node that leaves": async ({ engines: [engine, other] }) => {
    await engine.join(node("a"));
    await engine.join(node("b"));
    const epoch = epochOf(await engine.claim("a", KEY));
    await engine.leave("a");
    await engine.leave("a");
    equal(await engine.renew("a", IDLE), false);
    equal(await other.ownerOf(KEY), undefined);
    deepEqual(
      (await other.nodes()).map(({ boot }) => boot),
      ["b"],
    );
    ok(epochOf(await other.claim("b", KEY)) > epoch);
  },

  "lists the sessions that need an owner and have no live one": async ({
    engines: [engine, other],
    advance,
    accepted,
    ended,
  }) => {
    const [owned, stale, free, local, named] = ['["global","1"]', '["global","2"]', '["global","3"]', '"l"', '"n"'];
    await engine.join(node("a", { staleMs: 60_000 }));
    await engine.join(node("b"));
    epochOf(await engine.claim("a", owned));
    epochOf(await engine.claim("b", stale));
    await engine.release("a", named, epochOf(await engine.claim("a", named)));
    for (const key of [owned, stale, free, local, named]) await accepted(key, `turn of ${key}`);
    await accepted(free, "another");
    const found = async (...wanted: string[]): Promise<string[]> =>
      [...(await other.unattended(wanted, 10))].toSorted();
    deepEqual(await found(), [named, free].toSorted());
    await advance(6_000);
    deepEqual(await found(), [named, stale, free].toSorted());
    deepEqual(await found('"wanted"', owned, free), [named, '"wanted"', stale, free].toSorted());
    equal((await other.unattended([], 2)).length, 2);
    epochOf(await other.claim("a", stale));
    await ended(`turn of ${free}`);
    deepEqual(await found(), [named, free].toSorted());
    await ended("another");
    await ended(`turn of ${named}`);
    deepEqual(await found(), []);
    await engine.leave("a");
    deepEqual(await found(), [owned, stale].toSorted());
  },

  "lists the sessions that have or had an owner, by prefix of their keys": async ({
    engines: [engine, other],
    advance,
  }) => {
    const keys = ['["global","user",10]', '["global","user",2]', '["global","us%r",1]', '["global","users",1]'];
    const [first, second] = keys as [string, string];
    await engine.join(node("a"));
    await engine.join(node("b", { staleMs: 60_000 }));
    const epochs = new Map<string, number>();
    for (const key of keys) epochs.set(key, epochOf(await engine.claim(key === second ? "b" : "a", key)));
    await engine.release("a", first, epochs.get(first) ?? 0);
    const found = async (prefix: string): Promise<unknown[]> =>
      (await other.sessions(prefix)).map(({ name, boot }) => [...name, boot]);
    deepEqual(await found('["global","user",'), [
      ["global", "user", 10, undefined],
      ["global", "user", 2, "b"],
    ]);
    deepEqual(await found('["global","us%'), [["global", "us%r", 1, "a"]]);
    await advance(6_000);
    deepEqual(
      (await found("")).map((each) => (each as unknown[]).at(-1)),
      keys.toSorted().map((key) => (key === second ? "b" : undefined)),
    );
  },

  "finds described sessions by labels, owner and name, with their owners": async ({ engines, advance, described }) => {
    const [engine, other] = engines;
    await engine.join(node("a"));
    await engine.join(node("b", { staleMs: 60_000 }));
    const [ann, bob, cid, dan] = ["ann", "bob", "cid", UNUSUAL].map((user) => JSON.stringify(["global", "chat", user]));
    ok(ann !== undefined && bob !== undefined && cid !== undefined && dan !== undefined);
    await described(bob, { createdAt: 2, labels: { user: "bob", plan: "free" } });
    await described(ann, { createdAt: 1, title: "Hers", labels: { user: "ann", plan: "free" } });
    await described(cid, { createdAt: 3, labels: { plan: "free" }, archivedAt: 7 });
    await described(dan, { createdAt: 4, labels: { [UNUSUAL]: UNUSUAL } });
    await described('["global","chats","eve"]', { createdAt: 5 });
    await described('["chat","local"]', { createdAt: 6 });
    const epoch = epochOf(await engine.claim("a", ann));
    epochOf(await engine.claim("b", bob));
    // It has an owner and has never been written.
    epochOf(await engine.claim("b", '["global","chat","new"]'));
    const all = { archived: false, range: rangesOf(["global", "chat"])[0] ?? ALL_KEYS, limit: 10 };
    const find = async (query: object): Promise<unknown[]> =>
      (await other.findSessions({ ...all, ...query })).map(({ name, boot }) => [name.at(-1), boot]);
    const labels = { user: "ann", plan: "free" };
    deepEqual(await other.findSessions({ ...all, labels, limit: 1 }), [
      { name: ["global", "chat", "ann"], description: { createdAt: 1, title: "Hers", labels }, epoch, boot: "a" },
    ]);
    const page = [
      [ann, ["ann", "a"]],
      [bob, ["bob", "b"]],
      [dan, [UNUSUAL, undefined]],
    ] as const;
    const inOrder = page.toSorted(([one], [next]) => compareKeys(one, next)).map(([, found]) => found);
    deepEqual(await find({}), inOrder);
    deepEqual(await find({ after: bob }), inOrder.slice(inOrder.findIndex(([name]) => name === "bob") + 1));
    deepEqual(await find({ labels: { plan: "free" } }), [
      ["ann", "a"],
      ["bob", "b"],
    ]);
    deepEqual(await find({ labels: { plan: "free", user: "bob" } }), [["bob", "b"]]);
    deepEqual(await find({ labels: { [UNUSUAL]: UNUSUAL } }), [[UNUSUAL, undefined]]);
    deepEqual(await find({ archived: true }), [["cid", undefined]]);
    deepEqual(await find({ owned: false }), [[UNUSUAL, undefined]]);
    deepEqual(await find({ owned: true }), [
      ["ann", "a"],
      ["bob", "b"],
    ]);
    await advance(6_000);
    deepEqual(await find({ owned: true }), [["bob", "b"]]);
    deepEqual(await find({ owned: false, labels: { plan: "free" } }), [["ann", undefined]]);
    deepEqual(await find({ range: ALL_KEYS }), [
      ["local", undefined],
      ...inOrder.map((each) => [each[0], each[0] === "bob" ? "b" : undefined]),
      ["eve", undefined],
    ]);
  },

  "finds each session that stays once, page by page, while others come and go": async ({
    engines: [engine, other],
    described,
  }) => {
    await engine.join(node("a", { staleMs: 60_000 }));
    const keyOf = (n: number): string => JSON.stringify(["global", "chat", String(n).padStart(3, "0")]);
    for (let n = 0; n < 40; n += 2) await described(keyOf(n), { createdAt: n, labels: { plan: "free" } });
    const found: string[] = [];
    for (let round = 0; ; round++) {
      const after = found.at(-1);
      const query = { archived: false, labels: { plan: "free" }, range: ALL_KEYS, limit: 3 };
      const page = await other.findSessions({ ...query, ...(after !== undefined && { after }) });
      if (page.length === 0) break;
      found.push(...page.map(({ name }) => JSON.stringify(name)));
      // Before and after the page, and one that moves to another owner.
      for (const n of [round * 6 + 1, 39 - round * 6])
        await described(keyOf(n), { createdAt: n, labels: { plan: "free" } });
      await described(keyOf(40 - round * 8 - 2), { labels: { plan: "free" }, archivedAt: 1 });
      await engine.claim("a", keyOf(round * 2));
    }
    deepEqual(found, [...new Set(found)].toSorted());
    const archived = new Set([38, 30, 22, 14, 6].map(keyOf));
    for (let n = 0; n < 40; n += 2) ok(found.includes(keyOf(n)) || archived.has(keyOf(n)), keyOf(n));
  },

  "finds sessions without an owner that have a schedule due soon": async ({
    engines: [engine],
    advance,
    scheduled,
    enqueued,
    dropped,
  }) => {
    await engine.join(node("a"));
    await engine.join(node("b", { staleMs: 60_000 }));
    const [due, owned, later] = ["due", "owned", "later"].map((name) => JSON.stringify(["global", "chat", name]));
    ok(due !== undefined && owned !== undefined && later !== undefined);
    await scheduled(due, "j1", -5_000);
    await scheduled(due, "j2", 30_000);
    await scheduled(owned, "j3", 1_000);
    await scheduled(later, "j4", 3_600_000);
    await scheduled('["chat","local"]', "j5", 0);
    await enqueued('["global","crew"]', "j6");
    epochOf(await engine.claim("a", owned));
    deepEqual(await engine.unattended([], 10), [due]);
    await advance(6_000);
    deepEqual((await engine.unattended([], 10)).toSorted(), [due, owned]);
    await dropped("j1");
    await dropped("j3");
    deepEqual(await engine.unattended([], 10), [due]);
    await dropped("j2");
    deepEqual(await engine.unattended([], 10), []);
  },

  "reserves the jobs of a pool by priority and order, each for one living node": async ({
    engines: [engine, other],
    advance,
    enqueued,
    dropped,
  }) => {
    const pool = '["global","crew"]';
    await engine.join(node("a"));
    await engine.join(node("b", { staleMs: 60_000 }));
    equal(await engine.reserveJob("a", pool), undefined);
    for (const [job, priority] of [
      ["j1", 0],
      [UNUSUAL, 0],
      ["j3", 5],
      ["j4", -1.5],
    ] as const)
      await enqueued(pool, job, priority);
    await enqueued(pool, "later", 9, 100_000);
    await enqueued('["global","others"]', "o1", 9);
    equal(await other.countJobs(pool), 5);
    equal(await engine.reserveJob("nobody", pool), undefined);
    deepEqual([await engine.reserveJob("a", pool), await other.reserveJob("b", pool)], ["j3", "j1"]);
    deepEqual([await engine.reserveJob("a", pool), await other.reserveJob("b", pool)], [UNUSUAL, "j4"]);
    deepEqual([await engine.reserveJob("a", pool), await other.reserveJob("b", pool)], [undefined, undefined]);
    await dropped("j1");
    equal(await engine.countJobs(pool), 4);
    // The jobs of a dead node are free.
    await advance(6_000);
    deepEqual([await other.reserveJob("b", pool), await other.reserveJob("b", pool)], ["j3", UNUSUAL]);
    equal(await other.reserveJob("b", pool), undefined);
    await other.renew("b", DRAINING);
    await dropped("j3");
    equal(await other.reserveJob("b", pool), undefined);
  },

  "gives each of many jobs to one of the nodes that reserve at once": async ({ engines, enqueued }) => {
    const pool = '["global","crew"]';
    const jobs = Array.from({ length: 24 }, (_, n) => `job ${n}`);
    for (const job of jobs) await enqueued(pool, job);
    for (const boot of ["a", "b", "c"]) await engines[0].join(node(boot, { staleMs: 60_000 }));
    const reserved = async (boot: string, at: number): Promise<string[]> => {
      const mine: string[] = [];
      for (let misses = 0; misses < 3; ) {
        const job = await (engines[at % engines.length] ?? engines[0]).reserveJob(boot, pool);
        if (job === undefined) misses += 1;
        else mine.push(job);
      }
      return mine;
    };
    const all = await Promise.all(["a", "b", "c"].map(reserved));
    deepEqual(all.flat().toSorted(), jobs.toSorted());
  },

  "accepts any text as a key and a boot id": async ({ engines: [engine, other] }) => {
    const key = JSON.stringify(["global", UNUSUAL]);
    await engine.join(node(UNUSUAL));
    const epoch = epochOf(await engine.claim(UNUSUAL, key));
    equal((await other.ownerOf(key))?.boot, UNUSUAL);
    deepEqual(await other.sessions('["global",'), [{ name: ["global", UNUSUAL], epoch, boot: UNUSUAL }]);
    await engine.release(UNUSUAL, key, epoch);
    deepEqual(await other.unattended([key], 1), [key]);
  },

  "grants a session to one of many concurrent claimants": async ({ engines }) => {
    const boots = Array.from({ length: 8 }, (_, n) => `node ${n}`);
    const keys = Array.from({ length: 10 }, (_, n) => `["global",${n}]`);
    for (const boot of boots) await engines[0].join(node(boot));
    const claims = await Promise.all(
      keys.flatMap((key, k) =>
        boots.map(async (boot, b) => {
          const engine = engines[(k + b) % engines.length] ?? engines[0];
          return { key, boot, claim: await engine.claim(boot, key) };
        }),
      ),
    );
    for (const key of keys) {
      const taken = claims.filter((each) => each.key === key && each.claim.taken);
      equal(taken.length, 1);
      equal((await engines[0].ownerOf(key))?.boot, taken[0]?.boot);
      const others = claims.filter((each) => each.key === key && !each.claim.taken);
      for (const { claim } of others) equal(refused(claim), taken[0]?.boot);
    }
  },

  "either renews a node or gives it up when both are requested at once": async ({
    engines: [engine, other],
    advance,
  }) => {
    await engine.join(node("next", { staleMs: 100_000_000 }));
    for (let n = 0; n < 20; n += 1) {
      const [boot, key] = [`owner ${n}`, `["global",${n}]`];
      await engine.join(node(boot));
      epochOf(await engine.claim(boot, key));
      await advance(6_000);
      const [first, second] = n % 2 === 0 ? [engine, other] : [other, engine];
      const [renewed, claim] = await Promise.all([first.renew(boot, IDLE), second.claim("next", key)]);
      equal(claim.taken, !renewed);
      equal(await engine.renew(boot, IDLE), renewed);
      equal((await engine.ownerOf(key))?.boot, renewed ? boot : "next");
    }
  },

  "lets several nodes claim from a stale node at once": async ({ engines: [engine, other], advance }) => {
    const keys = Array.from({ length: 20 }, (_, n) => `["global",${n}]`);
    await engine.join(node("owner"));
    for (const boot of ["b", "c"]) await engine.join(node(boot, { staleMs: 60_000 }));
    const before = new Map<string, number>();
    for (const key of keys) before.set(key, epochOf(await engine.claim("owner", key)));
    await advance(6_000);
    const claims = await Promise.all(keys.flatMap((key) => [engine.claim("b", key), other.claim("c", key)]));
    equal(claims.filter(({ taken }) => taken).length, keys.length);
    for (const key of keys) ok(((await engine.ownerOf(key))?.epoch ?? 0) > (before.get(key) ?? 0));
  },
};

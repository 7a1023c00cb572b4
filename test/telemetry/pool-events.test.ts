import { expect, test } from "vitest";
import { checkout, query, session, use } from "../../src/castellan.ts";
import type { EventName } from "../../src/events.ts";
import { pool } from "../../src/index.ts";
import type { FakeScript } from "../../src/testing/index.ts";
import { loadPool } from "../session-on-fake/pool-load.ts";
import { eventually, failure, Scene, unique } from "../session-on-fake/scene.ts";
import { SimulatedClock } from "../supervision/simulated-clock.ts";
import { collectEvents, eventsDuring, type PublishedEvent } from "./published-events.ts";

const LENDING = ["castellan:pool:checkout", "castellan:pool:checkin"] as const satisfies EventName[];
const WAITING = [
  "castellan:pool:wait",
  "castellan:pool:leave",
  "castellan:pool:exhausted",
] as const satisfies EventName[];
const MEMBERS = ["castellan:pool:add", "castellan:pool:remove"] as const satisfies EventName[];

const script: FakeScript = async (turn) => {
  if (turn.prompt === "hold") await turn.hang();
  if (turn.prompt === "die") await turn.crash({ signal: "SIGKILL" });
  await turn.text("done");
};

const short = ({ name, event }: PublishedEvent): string => {
  const words = (["wants", "why", "granted"] as const).flatMap((field) =>
    field in event ? [Reflect.get(event, field)] : [],
  );
  return [name.replace("castellan:pool:", ""), ...words.map(String)].join(" ");
};

test("pool events: report checkouts, waits and checkins of a turn and a loan, in order", async () => {
  const [name, clock] = [unique("pool"), new SimulatedClock()];
  const seen = await eventsDuring(async () => {
    await using _ = await Scene.open({ clock, script, children: [pool(name, { size: 1 })], options: { name: "shop" } });
    const loan = await checkout(name);
    const turn = query(name, "hi");
    await clock.advance(250);
    await loan.checkin();
    await turn;
  }, [...LENDING, ...WAITING]);
  expect(seen.map(short)).toEqual([
    "leave loan true",
    "checkout loan",
    "wait turn",
    "checkin loan checked_in",
    "leave turn true",
    "checkout turn",
    "checkin turn turn_ended",
  ]);
  const facts = { pool: name, supervisor: "shop" };
  expect(seen.map(({ event }) => event)).toMatchObject([
    { ...facts, waitedMs: 0 },
    { ...facts, member: [name, 0], waitedMs: 0 },
    facts,
    { ...facts, member: [name, 0], heldMs: 250 },
    { ...facts, waitedMs: 250 },
    { ...facts, member: [name, 0], waitedMs: 250 },
    { ...facts, member: [name, 0], heldMs: 0 },
  ]);
});

test("castellan:pool:checkout: has the turn's id", async () => {
  const name = unique("pool");
  using checkouts = collectEvents("castellan:pool:checkout");
  await using _ = await Scene.open({ script, children: [pool(name, { size: 1 })] });
  const { turnId } = await query(name, "hi");
  expect(checkouts.heard).toMatchObject([{ id: turnId, wants: "turn" }]);
});

test("pool events: report no checkout for a turn that shares a member", async () => {
  const name = unique("pool");
  const seen = await eventsDuring(async () => {
    await using _ = await Scene.open({ script, children: [pool(name, { size: 1, conversation: "shared" })] });
    await query(name, "hi");
  }, [...LENDING, ...WAITING]);
  expect(seen.map(short)).toEqual(["leave turn true"]);
});

test("pool events: report an expired lease, and waits that timed out, were aborted or refused", async () => {
  const [name, clock] = [unique("pool"), new SimulatedClock()];
  const seen = await eventsDuring(async () => {
    await using scene = await Scene.open({
      clock,
      script,
      children: [pool(name, { size: 1, lease: "1m", waitingLimit: 2 })],
    });
    await eventually(() => scene.supervisor.pool(name).status().idle === 1);
    await checkout(name);
    await failure(checkout(name, { timeout: 0 }), "POOL_EXHAUSTED");
    const late = failure(checkout(name, { timeout: "5s" }), "POOL_EXHAUSTED");
    const abort = new AbortController();
    const given = failure(checkout(name, { signal: abort.signal }), "CHECKOUT_CANCELLED");
    await failure(checkout(name), "POOL_EXHAUSTED");
    await clock.advance(5_000);
    await late;
    abort.abort();
    await given;
    await clock.advance(55_000);
  }, [...LENDING, ...WAITING]);
  expect(seen.map(short)).toEqual([
    "leave loan true",
    "checkout loan",
    "leave loan false",
    "exhausted loan",
    "wait loan",
    "wait loan",
    "leave loan false",
    "exhausted loan",
    "leave loan false",
    "exhausted loan",
    "leave loan false",
    "checkin loan lease_over",
  ]);
  const waits = seen.filter(({ name: of }) => of === "castellan:pool:exhausted").map(({ event }) => event);
  expect(waits).toMatchObject([{ waitedMs: 0 }, { waitedMs: 0 }, { waitedMs: 5_000 }]);
  expect(seen.at(-1)?.event).toMatchObject({ heldMs: 60_000 });
});

test("castellan:pool:checkin: says pool_closed for a loan that ends with its supervisor or its pool", async () => {
  const [kept, removed] = [unique("pool"), unique("pool")];
  using checkins = collectEvents("castellan:pool:checkin");
  const scene = await Scene.open({ script, children: [pool(kept, { size: 1 }), pool(removed, { size: 1 })] });
  const [first, second] = [await checkout(kept), await checkout(removed)];
  await scene.supervisor.reconcile([pool(kept, { size: 1 })]);
  expect(checkins.heard).toMatchObject([{ pool: removed, why: "pool_closed" }]);
  await scene[Symbol.asyncDispose]();
  expect(checkins.heard).toMatchObject([{ pool: removed }, { pool: kept, why: "pool_closed" }]);
  await Promise.all([first.checkin(), second.checkin()]);
  expect(checkins.heard).toHaveLength(2);
});

test("castellan:pool:checkin: says checked_in for a loan checked in during a drain", async () => {
  const name = unique("pool");
  using checkins = collectEvents("castellan:pool:checkin");
  await using scene = await Scene.open({
    script: async (turn) => {
      await turn.partial("I");
      await gate.promise;
      await turn.text("done");
    },
    children: [pool(name, { size: 1 })],
  });
  const gate = Promise.withResolvers<void>();
  const loan = await checkout(name);
  const turn = loan.session.query("hi");
  await scene.fake.prompted(1);
  const drained = scene.supervisor.drain();
  expect(checkins.heard).toEqual([]);
  gate.resolve();
  await turn;
  await loan.checkin();
  await drained;
  expect(checkins.heard).toMatchObject([{ why: "checked_in" }]);
});

test("pool events: report added, surplus, ended and replaced members", async () => {
  const [name, clock] = [unique("pool"), new SimulatedClock()];
  const seen = await eventsDuring(async () => {
    await using scene = await Scene.open({ clock, script, children: [pool(name, { min: 1, max: 2 })] });
    const pool_ = scene.supervisor.pool(name);
    await eventually(() => pool_.status().idle === 1);
    const loans = [await checkout(name), await checkout(name)];
    await Promise.all(loans.map((loan) => loan.checkin()));
    await eventually(() => pool_.status().idle === 2);
    await clock.advance(60_000);
    await eventually(() => pool_.status().members.length === 1);
    await session([name, 0]).stop();
    await eventually(() => pool_.status().idle === 1);
    await use(name, () => {});
  }, MEMBERS);
  expect(seen.map(({ name: of, event }) => [short({ name: of, event }), Reflect.get(event, "member")])).toEqual([
    ["add", [name, 0]],
    ["add", [name, 1]],
    ["remove removed", [name, 1]],
    // The name of the ended member is still taken, so the replacement has another.
    ["remove ended", [name, 0]],
    ["add", [name, 1]],
  ]);
});

const SEED = Number(process.env["POOL_SEED"] ?? Math.floor(Math.random() * 2 ** 31));

test(`pool events under random crashes and forgotten loans: match each checkout with one checkin, and each wait with one end (POOL_SEED=${SEED})`, async () => {
  using adds = collectEvents("castellan:pool:add");
  const seen = await eventsDuring(() => loadPool(600, SEED), [...LENDING, ...WAITING]);
  const of = <Name extends EventName>(name: Name): object[] =>
    seen.flatMap((one) => (one.name === name ? [one.event] : []));
  const idsOf = (name: EventName): string[] => of(name).map((event) => String(Reflect.get(event, "id")));
  const holders = new Map<string, string>();
  let most = 0;
  for (const { name, event } of seen) {
    const [id, member] = [Reflect.get(event, "id"), JSON.stringify(Reflect.get(event, "member"))];
    if (name === "castellan:pool:checkout") {
      expect(holders.get(member), `${member} is lent once at a time`).toBeUndefined();
      holders.set(member, id);
      most = Math.max(most, holders.size);
    } else if (name === "castellan:pool:checkin") {
      expect(holders.get(member)).toBe(id);
      holders.delete(member);
    }
  }
  expect(holders.size).toBe(0);
  expect(most).toBe(8);
  expect(idsOf("castellan:pool:checkin").toSorted()).toEqual(idsOf("castellan:pool:checkout").toSorted());
  const left = idsOf("castellan:pool:leave");
  expect(new Set(left).size).toBe(left.length);
  expect(new Set(left).isSupersetOf(new Set(idsOf("castellan:pool:wait")))).toBe(true);
  expect(new Set(idsOf("castellan:pool:checkout")).isSubsetOf(new Set(left))).toBe(true);
  const whys = new Set(of("castellan:pool:checkin").map((event) => Reflect.get(event, "why")));
  expect(whys.isSupersetOf(new Set(["checked_in", "turn_ended"]))).toBe(true);
  expect(adds.heard.length).toBeGreaterThanOrEqual(8);
});

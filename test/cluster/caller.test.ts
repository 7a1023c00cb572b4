import { describe, expect, test } from "vitest";
import { Caller } from "../../src/cluster/caller.ts";
import { Cluster } from "../../src/cluster/cluster.ts";
import type { Engine, NodeEntry } from "../../src/cluster/protocol/engine.ts";
import type { CallAnswer, CallRequest, EventFrame } from "../../src/cluster/protocol/frames.ts";
import { type Destination, type Transport, Unreachable } from "../../src/cluster/protocol/transport.ts";
import { Router } from "../../src/cluster/router.ts";
import { CastellanError } from "../../src/errors.ts";
import { global } from "../../src/index.ts";
import { nameKey } from "../../src/names.ts";
import { SimulatedClock } from "../../src/testing/index.ts";
import { ticks } from "../session-on-fake/scene.ts";
import { node } from "./engine-conformance.ts";

const KEY = nameKey(["global", "support", 42]);
const HOSTS = { sessions: [], templates: ["support"], pools: [] };
const PATIENCE_MS = 1_000;
const NOT_OWNER: CallAnswer = { type: "not_owner" };
const CLOSED = new CastellanError("CLUSTER_UNAVAILABLE", "closed", { details: { reason: "unreachable" } });

function entry(boot: string, changed: Partial<NodeEntry> = {}): NodeEntry {
  const state = { load: 0, draining: false, alive: true, aliveForMs: 5_000 };
  return { ...node(boot, { hosts: HOSTS, protocols: [1, 1] }), ...state, ...changed };
}

type Answering = (to: Destination, request: CallRequest, signal: AbortSignal) => CallAnswer | Promise<CallAnswer>;

const never = (): never => {
  throw new Error("is not to be called");
};

/** Returns a caller in a cluster of two nodes whose answers the test gives. */
function scene(answer: Answering, nodes: () => Promise<readonly NodeEntry[]> = async () => [entry("a"), entry("b")]) {
  const clock = new SimulatedClock();
  const calls: { readonly boot: string; readonly method: string; readonly claim: boolean; readonly at: number }[] = [];
  const transport: Transport = {
    turn: never,
    events: never,
    call: async (to, request, signal) => {
      calls.push({ boot: to.boot, method: request.method, claim: request.claim, at: clock.monotonic() });
      return await answer(to, request, signal);
    },
    close: async () => {},
  };
  const engine: Pick<Engine, "nodes" | "ownerOf"> = { nodes, ownerOf: async () => undefined };
  const caller = new Caller({ router: new Router(engine as Engine, clock), transport, clock, patienceMs: PATIENCE_MS });
  return { caller, clock, calls };
}

/** Returns how a call ends after that many milliseconds. */
async function endOf(call: Promise<unknown>, clock: SimulatedClock, ms = 0): Promise<unknown> {
  const end = call.then(
    (value) => ({ value }),
    (error: unknown) => error,
  );
  await clock.advance(ms);
  return await end;
}

const answered = (value: unknown): CallAnswer => ({ type: "answer", value });

test("Caller: asks a node that may claim the session, and asks the same node from then on", async () => {
  const { caller, calls } = scene(({ boot }) => answered(`from ${boot}`));
  expect(await caller.call(KEY, "status")).toBe("from a");
  expect(await caller.call(KEY, "health", 1, "two")).toBe("from a");
  expect(calls.map(({ claim }) => claim)).toEqual([true, false]);
});

test("Caller: follows not_owner to the owner", async () => {
  const owner = { boot: "b", address: "http://b:7700" };
  const { caller, clock, calls } = scene(({ boot }) => (boot === "b" ? answered(7) : { type: "not_owner", owner }));
  expect(await endOf(caller.call(KEY, "status"), clock, 100)).toEqual({ value: 7 });
  expect(calls.map(({ boot }) => boot)).toEqual(["a", "b"]);
  expect(clock.timers).toBe(0);
});

test("Caller: throws the session's error without a retry", async () => {
  const details = { problems: [{ field: "transcript.limit", message: "expected a number" }] };
  const error = { code: "INVALID_OPTIONS", message: "wrong", details };
  const { caller, clock, calls } = scene(() => ({ type: "failed", error }));
  expect(await endOf(caller.call(KEY, "transcript"), clock)).toMatchObject({ code: "INVALID_OPTIONS", details });
  expect(calls).toHaveLength(1);
});

describe("Caller after a failure", () => {
  test("retries after increasing delays until its patience ends, then rejects with CLUSTER_UNAVAILABLE", async () => {
    const cause = new Unreachable("nobody listens there");
    const { caller, clock, calls } = scene(() => Promise.reject(cause));
    const end = await endOf(caller.call(KEY, "status"), clock, 2 * PATIENCE_MS);
    expect(end).toMatchObject({ code: "CLUSTER_UNAVAILABLE", details: { reason: "unreachable" }, cause });
    expect(String(end)).toContain("`status` for 1s");
    const pauses = calls.slice(1).map(({ at }, index) => at - (calls[index]?.at ?? 0));
    expect(pauses[0]).toBe(20);
    expect(pauses).toEqual(pauses.toSorted((one, other) => one - other));
    expect(Math.max(...pauses)).toBe(200);
    expect(clock.timers).toBe(0);
  });

  test.each(["restart", "clear", "stop", "rewindFiles", "approve", "deny"] as const)(
    "rejects `%s` with reason uncertain, without a retry, if it may have been done",
    async (method) => {
      const { caller, clock, calls } = scene(() => Promise.reject(new Unreachable("it broke")));
      const end = await endOf(caller.call(KEY, method), clock, 2 * PATIENCE_MS);
      expect(end).toMatchObject({ code: "CLUSTER_UNAVAILABLE", details: { reason: "uncertain" } });
      expect(String(end)).toContain(`\`${method}\``);
      expect(calls).toHaveLength(1);
    },
  );

  test("retries a control that certainly was not sent", async () => {
    let tries = 0;
    const { caller, clock } = scene(() =>
      ++tries < 3 ? Promise.reject(new Unreachable("no connection", { unsent: true })) : answered("restarted"),
    );
    expect(await endOf(caller.call(KEY, "restart"), clock, PATIENCE_MS)).toEqual({ value: "restarted" });
  });

  // A node of an earlier release answers with the code of the journal.
  test.each(["DATABASE_UNAVAILABLE", "JOURNAL_UNAVAILABLE"] as const)(
    "retries while the database fails with %s, and rejects with its error",
    async (code) => {
      const away = new CastellanError(code, "away", { details: { reason: "unreachable" } });
      let up = false;
      const nodes = async (): Promise<NodeEntry[]> => {
        if (!up) throw away;
        return [entry("a")];
      };
      const { caller, clock } = scene(() => answered(1), nodes);
      expect(await endOf(caller.call(KEY, "status"), clock, 2 * PATIENCE_MS)).toBe(away);
      const second = caller.call(KEY, "status");
      await clock.advance(300);
      up = true;
      expect(await endOf(second, clock, 300)).toEqual({ value: 1 });
    },
  );

  test("rejects with reason no_node when no node takes the session", async () => {
    const { caller, clock } = scene(
      () => NOT_OWNER,
      async () => [],
    );
    const end = await endOf(caller.call(KEY, "status"), clock, 2 * PATIENCE_MS);
    expect(end).toMatchObject({ code: "CLUSTER_UNAVAILABLE", details: { reason: "no_node" } });
  });

  test("rejects with CLUSTER_UNAVAILABLE when no node speaks its protocol", async () => {
    const { caller, clock } = scene(
      () => answered(1),
      async () => [entry("a", { protocols: [7, 9] })],
    );
    const end = await endOf(caller.call(KEY, "status"), clock, 2 * PATIENCE_MS);
    expect(end).toMatchObject({ code: "CLUSTER_UNAVAILABLE" });
  });

  test("rejects with a defect at once", async () => {
    const defect = new TypeError("a defect");
    const { caller, clock, calls } = scene(() => Promise.reject(defect));
    expect(await endOf(caller.call(KEY, "status"), clock)).toBe(defect);
    expect(calls).toHaveLength(1);
  });
});

describe("Caller.callAt", () => {
  const to = { boot: "b", address: "http://b:7700", protocol: 1 };

  test("lets the node claim, and calls no other node", async () => {
    const { caller, calls } = scene(() => answered("awake"));
    expect(await caller.callAt(to, KEY, "wake")).toBe("awake");
    expect(calls).toMatchObject([{ boot: "b", claim: true }]);
  });

  test("rejects with no_node, unreachable, uncertain or the session's error", async () => {
    const refused = scene(() => NOT_OWNER);
    await expect(refused.caller.callAt(to, KEY, "wake")).rejects.toMatchObject({ details: { reason: "no_node" } });
    const unsent = scene(() => Promise.reject(new Unreachable("nobody listens", { unsent: true })));
    await expect(unsent.caller.callAt(to, KEY, "wake")).rejects.toMatchObject({
      details: { reason: "unreachable" },
      message: expect.stringContaining("nobody listens"),
    });
    const lost = scene(() => Promise.reject(new Unreachable("it broke")));
    await expect(lost.caller.callAt(to, KEY, "wake")).rejects.toMatchObject({ details: { reason: "uncertain" } });
    const error = { code: "SESSION_QUARANTINED", message: "quarantined", details: {} };
    const failed = scene(() => ({ type: "failed", error }));
    await expect(failed.caller.callAt(to, KEY, "wake")).rejects.toMatchObject({ code: "SESSION_QUARANTINED" });
  });
});

describe("Caller.close", () => {
  test("rejects calls that wait for a retry", async () => {
    const { caller, clock } = scene(() => Promise.reject(new Unreachable("nobody listens there")));
    const calls = [caller.call(KEY, "status"), caller.call(KEY, "transcript")];
    const ends = Promise.allSettled(calls);
    await clock.advance(100);
    caller.close(CLOSED);
    expect(await ends).toEqual(calls.map(() => ({ status: "rejected", reason: CLOSED })));
    expect(clock.timers).toBe(0);
  });

  test("rejects calls in progress, also uncertain ones", async () => {
    const { caller } = scene(
      (_, __, signal) =>
        new Promise((_resolve, reject) =>
          signal.addEventListener("abort", () => reject(signal.reason), { once: true }),
        ),
    );
    const to = { boot: "b", address: "http://b:7700", protocol: 1 };
    const ends = Promise.allSettled([
      caller.call(KEY, "status"),
      caller.call(KEY, "stop"),
      caller.callAt(to, KEY, "wake"),
    ]);
    await ticks(3);
    caller.close(CLOSED);
    for (const end of await ends) expect(end).toEqual({ status: "rejected", reason: CLOSED });
  });

  test("rejects every later call without asking a node", async () => {
    const { caller, calls } = scene(() => answered(1));
    caller.close(CLOSED);
    caller.close(CLOSED);
    await expect(caller.call(KEY, "status")).rejects.toBe(CLOSED);
    await expect(caller.callAt({ boot: "b", address: "", protocol: 1 }, KEY, "wake")).rejects.toBe(CLOSED);
    expect(calls).toEqual([]);
  });
});

describe("Cluster over several nodes", () => {
  /** Returns a cluster of two nodes. `calls` records each call and its node. */
  function clusterOf(answer: Answering, owner: () => string | undefined, events: Transport["events"] = never) {
    const clock = new SimulatedClock();
    const nodes = ["a", "b"].map((boot) => entry(boot, { hosts: { ...HOSTS, pools: ["crew"] } }));
    const calls: string[] = [];
    const transport: Transport = {
      turn: async function* (to, _, signal) {
        yield { type: "found", boot: to.boot, number: 0, recalled: false };
        yield { type: "accepted" };
        await new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
      },
      events,
      call: async (to, request, signal) => {
        calls.push(`${request.method} at ${to.boot}`);
        return await answer(to, request, signal);
      },
      close: async () => {},
    };
    const engine: Pick<Engine, "nodes" | "ownerOf" | "close"> = {
      nodes: async () => nodes,
      ownerOf: async () => {
        const node = nodes.find(({ boot }) => boot === owner());
        return node && { boot: node.boot, epoch: 1, node };
      },
      close: async () => {},
    };
    const means = { clock, newId: () => "id", random: () => 0.5, patienceMs: PATIENCE_MS };
    const cluster = new Cluster({ engine: engine as Engine, transport, ...means }, async () => {});
    return { cluster, calls, clock, nodes };
  }

  test("interrupts a turn of a pool on every node", async () => {
    const { cluster, calls } = clusterOf(
      () => answered(null),
      () => undefined,
    );
    const turn = cluster.stream(global("crew"), "hi");
    await ticks(3);
    void turn.interrupt();
    await ticks(3);
    expect(calls.toSorted()).toEqual(["cancel at a", "cancel at b"]);
    await cluster.close();
    await expect(turn.result()).rejects.toMatchObject({ code: "CLUSTER_UNAVAILABLE" });
  });

  const event = (number: number): EventFrame => ({
    type: "event",
    event: { v: 1, number, at: 0, type: "text", text: "a", block: "b" },
  });

  test("events() without waiting asks again until a node that owns the session has returned all of them", async () => {
    const asked: unknown[] = [];
    const { cluster, clock } = clusterOf(
      never,
      () => (asked.length === 0 ? "a" : "b"),
      async function* (to, { options }) {
        asked.push([to.boot, options.after]);
        if (asked.length === 1) yield* [event(1), event(2), { type: "not_owner" }] satisfies EventFrame[];
        else if (asked.length === 2) throw new Unreachable("it went away", { unsent: false });
        else yield event(3);
      },
    );
    const read = Array.fromAsync(cluster.session(global(["support", 42])).events({ live: false }));
    await clock.advance(2_000);
    expect((await read).map(({ number }) => number)).toEqual([1, 2, 3]);
    expect(asked).toEqual([
      ["a", undefined],
      ["b", 2],
      ["b", 2],
    ]);
    await cluster.close();
  });

  test("events() misses nothing that is recorded while the session moves before the reader's first event", async () => {
    const asked: unknown[] = [];
    const { cluster, clock } = clusterOf(
      never,
      () => (asked.length === 0 ? "a" : "b"),
      async function* (to, { options }) {
        asked.push([to.boot, options.after]);
        if (asked.length === 1) yield { type: "begins", after: 5 };
        else yield event(6);
      },
    );
    const events = cluster.session(global(["support", 42])).events();
    const first = events.next();
    await clock.advance(1_000);
    expect((await first).value).toMatchObject({ number: 6 });
    expect(asked).toEqual([
      ["a", undefined],
      ["b", 5],
    ]);
    await events.return();
    await cluster.close();
  });

  test("events() without waiting fails if no node owns the session, and if the client closes", async () => {
    const refusing = clusterOf(
      never,
      () => "a",
      async function* () {
        yield { type: "not_owner" };
      },
    );
    const { cluster, clock } = refusing;
    const session = cluster.session(global(["support", 42]));
    const read = endOf(Array.fromAsync(session.events({ live: false })), clock, PATIENCE_MS + 500);
    expect(await read).toMatchObject({ code: "CLUSTER_UNAVAILABLE" });
    const other = Array.fromAsync(session.events({ live: false }));
    await ticks(3);
    void cluster.close();
    await expect(other).rejects.toMatchObject({ code: "CLUSTER_UNAVAILABLE" });
  });

  test("move releases the session again when another node claims it in between", async () => {
    let owner: string | undefined = "a";
    let wakes = 0;
    const { cluster, calls, clock } = clusterOf(
      (to, { method }) => {
        if (method === "release") owner = undefined;
        else if (++wakes === 1) owner = "a";
        else owner = to.boot;
        return owner === "a" ? NOT_OWNER : answered(null);
      },
      () => owner,
    );
    expect(await endOf(cluster.move(global(["support", 42]), "node of b"), clock, 100)).toEqual({ value: undefined });
    expect(calls).toEqual(["release at a", "wake at b", "release at a", "wake at b"]);
    expect(owner).toBe("b");
    await cluster.close();
  });

  test("move finds a node again that has joined under another boot", async () => {
    let owner: string | undefined;
    const { cluster, calls, clock, nodes } = clusterOf(
      (to) => {
        if (to.boot === "b") {
          nodes[1] = { ...entry("b again", { hosts: HOSTS }), name: "node of b" };
          return Promise.reject(new Unreachable("another boot is there", { unsent: true }));
        }
        owner = to.boot;
        return answered(null);
      },
      () => owner,
    );
    expect(await endOf(cluster.move(global(["support", 42]), "node of b"), clock, 100)).toEqual({ value: undefined });
    expect(calls).toEqual(["wake at b", "wake at b again"]);
    await cluster.close();
  });

  test("move rejects with no_node after eight tries", async () => {
    const { cluster, calls, clock } = clusterOf(
      (_, { method }) => (method === "release" ? answered(null) : NOT_OWNER),
      () => "a",
    );
    const end = await endOf(cluster.move(global(["support", 42]), "node of b"), clock, 1_000);
    expect(end).toMatchObject({ code: "CLUSTER_UNAVAILABLE", details: { reason: "no_node" } });
    expect(calls.filter((call) => call.startsWith("wake"))).toHaveLength(8);
    await cluster.close();
  });
});

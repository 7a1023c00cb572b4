import { expect, test } from "vitest";
import { checkout, query, session, stream, use } from "../../src/castellan.ts";
import { pool, template } from "../../src/index.ts";
import type { FakeScript } from "../../src/testing/index.ts";
import { collect, eventually, failure, Scene, thrown, unique } from "./scene.ts";

/** Answers with the number of messages in the conversation. */
const count: FakeScript = (turn) => turn.text(`${turn.history.length}`);

test("Pool: answers queries concurrently, each in an empty conversation", async () => {
  const name = unique("pool");
  await using scene = await Scene.open({ script: count, children: [pool(name, { size: 3 })] });
  const replies = await Promise.all(Array.from({ length: 9 }, () => query(name, "hi")));
  expect(replies.map(({ text }) => text)).toEqual(Array.from({ length: 9 }, () => "0"));
  const turn = stream(name, "hi");
  expect(turn.session).toBe(name);
  expect((await collect(turn.text())).join("")).toBe("0");
  expect((await turn.result()).turnId).toBe(turn.id);
  expect((await scene.supervisor.query(name, "hi")).text).toBe("0");
  expect((await scene.supervisor.stream(name, "hi").result()).text).toBe("0");
  const { supervisor } = scene;
  await eventually(() => supervisor.pool(name).status().idle === 3);
  expect(supervisor.pool(name).status()).toMatchObject({ name, size: 3, min: 3, max: 3, lent: 0, waiting: 0 });
});

test("Pool: starts a member's process on first use, and restarts it after its conversation was cleared", async () => {
  const name = unique("pool");
  await using scene = await Scene.open({ script: count, children: [pool(name, { size: 3 })] });
  const { supervisor, fake } = scene;
  await eventually(() => supervisor.pool(name).status().idle === 3);
  expect(fake.processes).toHaveLength(0);
  await query(name, "hi");
  await eventually(() => supervisor.pool(name).status().idle === 3);
  expect(fake.processes).toHaveLength(2);
  expect(fake.running).toHaveLength(1);
  // A member with a process is preferred.
  await query(name, "hi");
  await eventually(() => supervisor.pool(name).status().idle === 3);
  expect(fake.running).toHaveLength(1);
  // A loan without a turn leaves nothing to clear, so its process stays.
  await use(name, () => {});
  await eventually(() => supervisor.pool(name).status().idle === 3);
  expect(fake.processes).toHaveLength(3);
});

test('pool({ activation: "eager" }): starts all processes before Supervisor.start() resolves', async () => {
  const name = unique("pool");
  await using scene = await Scene.open({ children: [pool(name, { size: 2, activation: "eager" })] });
  expect(scene.supervisor.notStarted).toEqual([]);
  expect(scene.fake.running).toHaveLength(2);
  expect(scene.supervisor.listSessions({ prefix: name }).map(({ state }) => state)).toEqual(["idle", "idle"]);
});

test("Pool: shows in inspect(), whichChildren() and listSessions()", async () => {
  const name = unique("pool");
  await using scene = await Scene.open({ children: [pool(name, { size: 2 })] });
  const { supervisor } = scene;
  await eventually(() => supervisor.pool(name).status().idle === 2);
  await using _ = await checkout(name);
  expect(supervisor.listPools()).toEqual([supervisor.pool(name).status()]);
  const [first, ...members] = supervisor.inspect().children;
  expect(first).toEqual({
    kind: "pool",
    status: {
      name,
      size: 2,
      min: 2,
      max: 2,
      lent: 1,
      idle: 1,
      waiting: 0,
      jobs: 0,
      members: [
        { name: [name, 0], state: "hibernated", use: "lent" },
        { name: [name, 1], state: "hibernated", use: "free" },
      ],
    },
  });
  expect(members.map(({ kind }) => kind)).toEqual(["session", "session"]);
  expect(supervisor.whichChildren()).toEqual([
    { id: name, type: "pool", state: "running" },
    { id: [name, 0], type: "session", state: "running" },
    { id: [name, 1], type: "session", state: "running" },
  ]);
  expect(supervisor.listSessions({ prefix: name })).toHaveLength(2);
});

test('pool({ conversation: "shared" }): keeps conversations, and its turns queue in mailboxes', async () => {
  const name = unique("pool");
  await using scene = await Scene.open({
    script: count,
    children: [pool(name, { size: 2, conversation: "shared", balance: "round_robin" })],
  });
  await eventually(() => scene.supervisor.pool(name).status().idle === 2);
  const replies = await Promise.all(Array.from({ length: 6 }, () => query(name, "hi")));
  expect(replies.map(({ text }) => text)).toEqual(["0", "0", "2", "2", "4", "4"]);
  expect(scene.fake.processes).toHaveLength(2);
  await using loan = await checkout(name);
  expect((await loan.session.query("hi")).text).toBe("6");
  // The other member is lent, so both turns go to this one.
  const others = await Promise.all([1, 2].map(() => query(name, "hi")));
  expect(others.map(({ text }) => text)).toEqual(["6", "8"]);
});

test('pool({ conversation: "shared" }): lends an idle member only, and its turns wait for the loan', async () => {
  const name = unique("pool");
  const gate = Promise.withResolvers<void>();
  await using scene = await Scene.open({
    script: async (turn) => {
      if (turn.prompt === "long") await gate.promise;
      await count(turn);
    },
    children: [pool(name, { size: 1, conversation: "shared" })],
  });
  const long = query(name, "long");
  await scene.fake.prompted(1);
  const lent = checkout(name);
  const next = query(name, "hi");
  await eventually(() => scene.supervisor.pool(name).status().waiting === 2);
  gate.resolve();
  await long;
  const loan = await lent;
  expect((await loan.session.query("hi")).text).toBe("2");
  expect(scene.supervisor.pool(name).status()).toMatchObject({ lent: 1, waiting: 1 });
  await loan.checkin();
  expect((await next).text).toBe("4");
});

test('pool({ balance: "consistent_hash" }): sends a key to the same member each time', async () => {
  const name = unique("pool");
  await using scene = await Scene.open({
    script: count,
    children: [pool(name, { size: 4, conversation: "shared", balance: "consistent_hash" })],
  });
  await eventually(() => scene.supervisor.pool(name).status().idle === 4);
  for (const expected of ["0", "2", "4"]) expect((await query(name, "hi", { key: "ann" })).text).toBe(expected);
  expect(scene.fake.processes).toHaveLength(1);
  expect((await thrown(() => stream(name, "hi", { key: "" }), "INVALID_OPTIONS")).message).toContain("key");
  // A single session takes no key.
  await failure(query([name, 0], "hi", { key: "ann" }), "INVALID_OPTIONS");
});

test("pool({ balance }): asks a custom balancer and rejects the turn with the error that it throws", async () => {
  const name = unique("pool");
  const seen: unknown[] = [];
  await using scene = await Scene.open({
    script: count,
    children: [
      pool(name, {
        size: 2,
        conversation: "shared",
        balance: {
          pick: (candidates, { key }) => {
            seen.push([candidates.length, key]);
            if (key === "wrong") throw new Error("out of my mind");
            return candidates.at(-1);
          },
        },
      }),
    ],
  });
  await eventually(() => scene.supervisor.pool(name).status().idle === 2);
  await query(name, "hi", { key: "right" });
  expect(seen).toEqual([[2, "right"]]);
  expect(session([name, 1]).status().starts).toBe(1);
  await expect(query(name, "hi", { key: "wrong" })).rejects.toThrow("out of my mind");
  expect(scene.supervisor.pool(name).status()).toMatchObject({ lent: 0, waiting: 0 });
});

test("Pool: rejects turn and checkout options that it cannot honour", async () => {
  const name = unique("pool");
  await using _ = await Scene.open({ children: [pool(name, { size: 1 })] });
  for (const options of [{ idempotencyKey: "k" }, { whenBusy: "interrupt" }, { whenBusy: "rollback" }] as const) {
    const { message } = await thrown(() => stream(name, "hi", options), "INVALID_OPTIONS");
    expect(message).toContain(Object.keys(options)[0]);
  }
  await thrown(() => stream(name, ""), "INVALID_OPTIONS");
  await thrown(() => stream(name, "hi", { maxTurns: 3 } as object), "INVALID_OPTIONS");
  await failure(checkout(name, { timeot: 3 } as object), "INVALID_OPTIONS");
  await failure(checkout(name, { timeout: "soon" }), "INVALID_OPTIONS");
});

test("Names: rejects a name that is already a session's, a template's or a pool's", async () => {
  const [name, other] = [unique("pool"), unique("pool")];
  await using scene = await Scene.open({ children: [pool(name, { size: 1 })] });
  const { supervisor } = scene;
  expect((await failure(supervisor.startSession({ name }), "SESSION_ALREADY_STARTED")).message).toContain("pool");
  await failure(supervisor.startSession({ name: [name, 0] }), "SESSION_ALREADY_STARTED");
  await failure(supervisor.startChild(pool(name, { size: 1 })), "SESSION_ALREADY_STARTED");
  await failure(Scene.open({ children: [template(name)] }), "SESSION_ALREADY_STARTED");
  await failure(Scene.open({ children: [{ name: other }, pool(name, { size: 1 })] }), "SESSION_ALREADY_STARTED");
  const twice = failure(Scene.open({ children: [{ name: other }, pool(other, { size: 1 })] }), "INVALID_OPTIONS");
  expect((await twice).message).toContain("is also the name of children[0]");
  await supervisor.startSession({ name: other });
  await failure(supervisor.startChild(pool(other, { size: 1 })), "SESSION_ALREADY_STARTED");
  expect((await thrown(() => session(name), "SESSION_NOT_FOUND")).message).toContain("checkout");
  const missing = await failure(checkout(`${name}x`), "POOL_NOT_FOUND");
  expect(missing.details.nearMisses).toEqual([name]);
  await thrown(() => supervisor.pool("nobody"), "POOL_NOT_FOUND");
  // The rejected children left nothing behind.
  await supervisor.startChild(pool(unique(), { size: 1 }));
  expect((await query(name, "hi")).text).toBe("You said: hi");
});

test("pool(): rejects wrong options by field", async () => {
  const refused = async (options: object): Promise<string> =>
    (await failure(Scene.open({ children: [pool(unique(), { size: 1, ...options })] }), "INVALID_OPTIONS")).message;
  expect(await refused({ size: 0 })).toContain("children[0].size");
  expect(await refused({ leese: "1m" })).toMatch(/children\[0\].leese.*`lease`/);
  expect(await refused({ approvals: true, canUseTool: () => {} })).toContain("children[0].approvals");
});

import { createSdkMcpServer } from "@anthropic-ai/claude-agent-sdk";
import { expect, test } from "vitest";
import { checkout, query, session, use } from "../../src/castellan.ts";
import { pool } from "../../src/index.ts";
import type { FakeScript } from "../../src/testing/index.ts";
import { SimulatedClock } from "../supervision/simulated-clock.ts";
import { eventually, failure, Scene, unique } from "./scene.ts";

const count: FakeScript = (turn) => turn.text(`${turn.history.length}`);

test("pool({ member }): builds exclusive options for each member once", async () => {
  const name = unique("pool");
  const tools = createSdkMcpServer({ name: "tools" });
  const shared = pool(name, { size: 2, mcpServers: { tools } });
  const { message } = await failure(Scene.open({ children: [shared] }), "INVALID_OPTIONS");
  expect(message).toContain("mcpServers.tools");
  const made: number[] = [];
  const member = (index: number) => {
    made.push(index);
    return { model: `model-${index}`, mcpServers: { tools: createSdkMcpServer({ name: "tools" }) } };
  };
  const children = [pool(name, { size: 2, member })];
  await using scene = await Scene.open({ script: count, children });
  for (const round of [1, 2]) {
    const loans = await Promise.all([1, 2].map(() => checkout(name)));
    await Promise.all(loans.map((loan) => loan.session.query(`round ${round}`)));
    for (const loan of loans) await loan.checkin();
  }
  expect(new Set(scene.fake.processes.map(({ model }) => model))).toEqual(new Set(["model-0", "model-1"]));
  expect(made).toEqual([0, 1]);
});

test("Pool: stays smaller while its supervisor is at `maxChildren`, and grows later", async () => {
  const [name, clock] = [unique("pool"), new SimulatedClock()];
  await using scene = await Scene.open({
    clock,
    script: count,
    children: [{ name: unique("other") }, pool(name, { size: 3 })],
    options: { maxChildren: 2 },
  });
  const { supervisor } = scene;
  const pool_ = supervisor.pool(name);
  await eventually(() => pool_.status().idle === 1);
  expect(supervisor.countSessions()).toBe(2);
  const replies = Promise.all([1, 2, 3].map(() => query(name, "hi")));
  expect((await replies).map(({ text }) => text)).toEqual(["0", "0", "0"]);
  await supervisor.terminateSession(supervisor.listSessions()[0]?.name ?? "");
  expect(pool_.status().size).toBe(1);
  await clock.advance(120_000);
  await eventually(() => pool_.status().size === 2);
});

test("Pool: survives stop and restart of its supervisor, and ends when that is deleted", async () => {
  const [name, below] = [unique("pool"), unique("below")];
  const [clock, children] = [new SimulatedClock(), [pool(name, { size: 2 })]];
  await using scene = await Scene.open({ clock, script: count, children: [{ name: below, children }] });
  const { supervisor } = scene;
  const pool_ = supervisor.pool(name);
  await eventually(() => pool_.status().idle === 2);
  expect(supervisor.inspect().children[0]).toMatchObject({ children: [{ kind: "pool", status: { name } }, {}, {}] });
  await supervisor.terminateChild(below);
  await failure(query(name, "hi"), "POOL_EXHAUSTED");
  await supervisor.restartChild(below);
  expect((await query(name, "hi")).text).toBe("0");
  await supervisor.terminateChild(below);
  await supervisor.deleteChild(below);
  await failure(checkout(name), "POOL_NOT_FOUND");
  await failure(pool_.checkout(), "SESSION_STOPPED");
  expect(supervisor.listSessions()).toEqual([]);
  await supervisor.startChild({ name: below, children });
  expect((await query(name, "hi")).text).toBe("0");
  const { removed } = await supervisor.reconcile([]);
  expect(removed).toEqual([below]);
  expect(supervisor.listSessions()).toEqual([]);
  expect(scene.fake.running).toEqual([]);
});

test("Pool: a turn over the budget rejects with BUDGET_EXCEEDED and frees its member", async () => {
  const name = unique("pool");
  await using scene = await Scene.open({
    children: [pool(name, { size: 1, budget: { usd: 0.001 } })],
    script: (turn) => turn.text("dear"),
  });
  const spend = async (): Promise<string> => {
    for (;;) {
      const code = await query(name, "hi").then(
        () => "",
        (error: { code: string }) => error.code,
      );
      if (code !== "") return code;
    }
  };
  expect(await spend()).toBe("BUDGET_EXCEEDED");
  await eventually(() => scene.supervisor.pool(name).status().idle === 1);
});

test("Pool: forgets an interrupted turn and its rollback before the next loan", async () => {
  const name = unique("pool");
  await using scene = await Scene.open({
    children: [pool(name, { size: 1 })],
    script: async (turn) => {
      if (turn.prompt === "hold") await turn.hang();
      await count(turn);
    },
  });
  await use(name, async (one) => {
    const cut = failure(one.query("hold"), "TURN_INTERRUPTED");
    await scene.fake.prompted(1);
    expect((await one.query("hi", { whenBusy: "rollback" })).text).toBe("0");
    await cut;
  });
  expect((await query(name, "hi")).text).toBe("0");
  await use(name, async (one) => {
    void one.query("hold").catch(() => {});
    await eventually(() => one.status().state === "busy");
    void one.query("hold", { whenBusy: "rollback" }).catch(() => {});
  });
  expect((await query(name, "hi")).text).toBe("0");
});

test("Pool: a shared conversation keeps its messages and loses options that a borrower changed", async () => {
  const name = unique("pool");
  const children = [pool(name, { size: 1, conversation: "shared", model: "plain" })];
  await using scene = await Scene.open({ script: count, children });
  await use(name, async (one) => {
    await one.query("hi");
    await one.setModel("dear");
  });
  expect((await query(name, "hi")).text).toBe("2");
  expect(scene.fake.processes.at(-1)?.model).toBe("plain");
  expect(session([name, 0]).status().state).toBe("idle");
});

test("Pool: a restart keeps the loan's conversation, and a borrower may clear it", async () => {
  const name = unique("pool");
  await using scene = await Scene.open({ script: count, children: [pool(name, { size: 1 })] });
  const loan = await checkout(name);
  await loan.session.query("hi");
  await scene.supervisor.restartSession([name, 0]);
  expect((await loan.session.query("hi")).text).toBe("2");
  await loan.session.clear();
  expect((await loan.session.query("hi")).text).toBe("0");
  await loan.checkin();
  expect((await query(name, "hi")).text).toBe("0");
});

import { expect, test } from "vitest";
import { balanceWith } from "../../src/application/balance.ts";
import { query, session, stream } from "../../src/castellan.ts";
import { balance, pool } from "../../src/index.ts";
import type { FakeScript } from "../../src/testing/index.ts";
import { SimulatedClock } from "../supervision/simulated-clock.ts";
import { eventually, failure, Scene, thrown, unique } from "./scene.ts";

const names = (n: number): string[] => Array.from({ length: n }, () => unique());

/** Answers "first" in an empty conversation, and "again" in any other. */
const model: FakeScript = (turn) => turn.text(turn.history.length === 0 ? "first" : "again");

test("balance(): stands for one of several sessions, picked anew for each turn", async () => {
  const list = names(3);
  await using scene = await Scene.open({ script: model, children: list.map((name) => ({ name })) });
  const any = balance(list, "round_robin");
  const asked = [];
  for (let at = 0; at < 4; at++) asked.push(stream(any, "hi"));
  expect(asked.map((turn) => turn.session)).toEqual([list[0], list[1], list[2], list[0]]);
  for (const turn of asked) await turn.result();
  expect((await query(any, "hi")).text).toBe("again");
  expect(session(any).name).toBe(list[2]);
  expect((await scene.supervisor.query(any, "hi")).text).toBe("again");
});

test("balance(): picks the least busy session by default", async () => {
  const list = names(2);
  const gate = Promise.withResolvers<void>();
  await using _ = await Scene.open({
    script: async (turn) => {
      await gate.promise;
      await turn.text("fine");
    },
    children: list.map((name) => ({ name })),
  });
  const turns = [1, 2, 3, 4].map(() => stream(balance(list), "hi"));
  expect(turns.map((turn) => turn.session)).toEqual([list[0], list[1], list[0], list[1]]);
  gate.resolve();
  for (const turn of turns) await turn.result();
});

test('balance(): "consistent_hash" maps a key to the same session, and to another once that session has ended', async () => {
  const list = names(5);
  await using scene = await Scene.open({ script: model, children: list.map((name) => ({ name })) });
  const hashed = balance(list, "consistent_hash");
  const keys = Array.from({ length: 40 }, (_, index) => `user-${index}`);
  const falls = (): string[] => keys.map((key) => String(session(hashed.by(key)).name));
  const before = falls();
  expect(falls()).toEqual(before);
  expect(new Set(before).size).toBeGreaterThan(2);
  const [gone] = before;
  await scene.supervisor.terminateSession(gone ?? "");
  for (const [at, name] of falls().entries()) {
    if (before[at] === gone) expect(name).not.toBe(gone);
    else expect(name).toBe(before[at]);
  }
});

test('balance(): "weighted" picks a session less often after recent failures, and evenly again ten minutes later', async () => {
  const [list, clock] = [names(2), new SimulatedClock()];
  const [bad = "", good = ""] = list;
  await using _ = await Scene.open({
    clock,
    script: async (turn) => {
      if (turn.prompt === "fail") await turn.hang();
      await turn.text("fine");
    },
    children: list.map((name) => ({ name })),
  });
  for (let at = 0; at < 3; at++) {
    const turn = failure(query(bad, "fail", { timeout: "1s" }), "TURN_TIMEOUT");
    await eventually(() => session(bad).status().state === "busy");
    await clock.advance(1_000);
    await turn;
    await eventually(() => session(bad).status().state === "idle");
  }
  const picks = (): number => {
    const chances = Array.from({ length: 100 }, (_, at) => at / 100);
    return chances.filter((random) => session(balanceWith(list, "weighted", () => random)).name === bad).length;
  };
  expect(picks()).toBeGreaterThan(15);
  expect(picks()).toBeLessThan(25);
  await clock.advance(10 * 60_000);
  expect(picks()).toBe(50);
  const weighted = { weights: [0, 1] };
  expect(session(balanceWith(list, weighted, () => 0)).name).toBe(good);
});

test("balance(): skips missing and quarantined sessions, and says why when none is left", async () => {
  const [here = "", dying = ""] = names(2);
  await using scene = await Scene.open({
    children: [{ name: here }, { name: dying, onInterruptedTurn: "retry" }],
    script: async (turn) => {
      if (turn.prompt === "die") await turn.crash({ signal: "SIGKILL" });
      await turn.text("fine");
    },
    options: { maxRestarts: 0 },
  });
  await failure(query(dying, "die"), "SESSION_QUARANTINED");
  for (let at = 0; at < 5; at++) expect(session(balance(["nobody", dying, here], "round_robin")).name).toBe(here);
  await thrown(() => session(balance(["nobody", dying])), "SESSION_QUARANTINED");
  await failure(query(balance([dying, "nobody"]), "hi"), "SESSION_NOT_FOUND");
  await thrown(() => session(balance([here], { pick: () => undefined })), "SESSION_STOPPED");
  const name = unique("pool");
  await scene.supervisor.startChild(pool(name, { size: 1 }));
  await thrown(() => session(balance([name])), "SESSION_NOT_FOUND");
});

test.each([
  [[], "round_robin", "names"],
  [["a", ""], "random", "names"],
  [["a"], "fastest", "balance"],
  [["a"], { weights: [] }, "balance"],
] as const)("balance(): rejects %j with %j", async (list, how, field) => {
  const error = await thrown(() => balance(list, how as "random"), "INVALID_OPTIONS");
  expect(error.details.problems[0]?.field).toContain(field);
});

test("balance().by(): rejects an empty key", async () => {
  await thrown(() => balance(["a"], "consistent_hash").by(""), "INVALID_OPTIONS");
});

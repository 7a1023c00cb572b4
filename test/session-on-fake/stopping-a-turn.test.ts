import { expect, test } from "vitest";
import { query, stream } from "../../src/castellan.ts";
import { collect, eventually, failure, Scene, thrown } from "./scene.ts";

test("query({ signal }): an aborted signal rejects with TURN_CANCELLED before the turn is queued", async () => {
  await using scene = await Scene.open();
  const reason = new Error("no longer");
  const signal = AbortSignal.abort(reason);
  const error = await failure(query(scene.name, "hi", { signal }), "TURN_CANCELLED");
  expect(error.cause).toBe(reason);
  await thrown(() => stream(scene.name, "hi", { signal }), "TURN_CANCELLED");
  expect(scene.fake.processes[0]?.prompts).toEqual([]);
});

test("query({ signal }): an abort removes a queued turn from the mailbox", async () => {
  const open = Promise.withResolvers<void>();
  await using scene = await Scene.open({
    script: async (turn) => {
      await open.promise;
      await turn.text(`re: ${turn.prompt}`);
    },
  });
  const abort = new AbortController();
  const one = query(scene.name, "one");
  const two = stream(scene.name, "two", { signal: abort.signal });
  const three = query(scene.name, "three");
  await scene.fake.prompted(1);
  expect(scene.session.status().mailbox).toBe(2);
  abort.abort(new Error("changed my mind"));
  expect(two.state).toBe("cancelled");
  expect(scene.session.status().mailbox).toBe(1);
  const error = await failure(two.result(), "TURN_CANCELLED");
  expect(error.cause).toMatchObject({ message: "changed my mind" });
  open.resolve();
  await Promise.all([one, three]);
  expect(scene.fake.processes[0]?.prompts).toEqual(["one", "three"]);
});

test("query({ signal }): an abort interrupts a running turn at once, and the process stops it", async () => {
  let stopped = false;
  await using scene = await Scene.open({
    script: async (turn) => {
      if (turn.prompt !== "long") return turn.text("next answer");
      turn.signal.addEventListener("abort", () => {
        stopped = true;
      });
      await turn.partial("so far");
      await turn.hang();
    },
  });
  const abort = new AbortController();
  const turn = stream(scene.name, "long", { signal: abort.signal });
  for await (const _ of turn.text()) break;
  abort.abort();
  expect(turn.state).toBe("interrupted");
  expect((await failure(turn.result(), "TURN_INTERRUPTED")).details.partialText).toBe("so far");
  expect((await query(scene.name, "next")).text).toBe("next answer");
  expect(stopped).toBe(true);
  expect(scene.fake.processes).toHaveLength(1);
});

test("query({ signal }): an abort after the turn does not affect the next one", async () => {
  const open = Promise.withResolvers<void>();
  await using scene = await Scene.open({
    script: async (turn) => {
      if (turn.index === 1) await open.promise;
      await turn.text("whole");
    },
  });
  const abort = new AbortController();
  const reply = await query(scene.name, "one", { signal: abort.signal });
  const second = query(scene.name, "two");
  await scene.fake.prompted(2);
  abort.abort();
  open.resolve();
  expect(reply.text).toBe("whole");
  expect((await second).text).toBe("whole");
});

test("turn.interrupt(): cancels a queued turn, which never runs", async () => {
  const open = Promise.withResolvers<void>();
  await using scene = await Scene.open({ script: () => open.promise });
  const one = query(scene.name, "one");
  const two = stream(scene.name, "two");
  await two.interrupt();
  await failure(two.result(), "TURN_CANCELLED");
  open.resolve();
  await one;
  expect(scene.fake.processes[0]?.prompts).toEqual(["one"]);
});

test("session.interrupt(): rejects the running turn with TURN_INTERRUPTED and its partial text; the process continues", async () => {
  await using scene = await Scene.open({
    script: async (turn) => {
      if (turn.prompt === "two") return turn.text(turn.history.map(({ text }) => text).join(" | "));
      await turn.partial("half a thou");
      await turn.toolUse("Bash", { command: "sleep 100" }, { hang: true });
    },
  });
  const turn = stream(scene.name, "one");
  for await (const _ of turn.toolUses()) break;
  await scene.session.interrupt();
  const error = await failure(turn.result(), "TURN_INTERRUPTED");
  expect(error.details).toMatchObject({ turnId: turn.id, partialText: "half a thou", toolUses: [{ name: "Bash" }] });
  expect(error.details.exit).toBeUndefined();
  await failure(collect(turn), "TURN_INTERRUPTED");
  expect((await query(scene.name, "two")).text).toContain("one");
  expect(scene.fake.processes).toHaveLength(1);
  // `interrupt()` is idempotent.
  await turn.interrupt();
  await scene.session.interrupt();
});

test("turn.interrupt(): stops a turn that the process has not begun", async () => {
  const gate = Promise.withResolvers<object>();
  await using scene = await Scene.open({
    session: { hooks: { UserPromptSubmit: [{ hooks: [() => gate.promise] }] } },
    script: (turn) => (turn.prompt === "one" ? turn.hang() : turn.text("fine")),
  });
  const turn = stream(scene.name, "one");
  await eventually(() => turn.state === "running");
  const interrupted = turn.interrupt();
  gate.resolve({});
  await interrupted;
  await failure(turn.result(), "TURN_INTERRUPTED");
  expect((await query(scene.name, "two")).text).toBe("fine");
});

test("turn.interrupt(): of an aborted turn does not affect the next turn", async () => {
  await using scene = await Scene.open({
    script: async (turn) => (turn.prompt === "one" ? turn.hang() : turn.text("untouched")),
  });
  const abort = new AbortController();
  const one = stream(scene.name, "one", { signal: abort.signal });
  await scene.fake.prompted(1);
  const two = query(scene.name, "two");
  abort.abort();
  await one.interrupt();
  await one.interrupt();
  expect((await two).text).toBe("untouched");
});

test("turn.interrupt(): stops five turns at once", async () => {
  await using scene = await Scene.open({ script: (turn) => turn.hang() });
  const turns = Array.from({ length: 5 }, (_, n) => stream(scene.name, `${n}`));
  await scene.fake.prompted(1);
  await Promise.all(turns.map((turn) => turn.interrupt()));
  expect(turns.map(({ state }) => state)).toEqual(["interrupted", ...Array.from({ length: 4 }, () => "cancelled")]);
});

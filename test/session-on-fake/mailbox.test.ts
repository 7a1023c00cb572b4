import { expect, test } from "vitest";
import { query, stream } from "../../src/castellan.ts";
import { eventually, failure, Scene, thrown } from "./scene.ts";

test("mailboxLimit: rejects one turn more with MAILBOX_FULL and loses none that it accepted", async () => {
  const open = Promise.withResolvers<void>();
  await using scene = await Scene.open({
    session: { mailboxLimit: 2 },
    script: async (turn) => {
      await open.promise;
      await turn.text(turn.prompt);
    },
  });
  const replies = ["a", "b", "c"].map((prompt) => query(scene.name, prompt));
  const error = await failure(query(scene.name, "d"), "MAILBOX_FULL");
  expect(error.details.limit).toBe(2);
  await thrown(() => stream(scene.name, "d"), "MAILBOX_FULL");
  await scene.fake.prompted(1);
  await thrown(() => stream(scene.name, "d"), "MAILBOX_FULL");
  expect(scene.session.status()).toMatchObject({ state: "busy", mailbox: 2 });
  open.resolve();
  expect((await Promise.all(replies)).map(({ text }) => text)).toEqual(["a", "b", "c"]);
  expect((await query(scene.name, "d")).text).toBe("d");
});

test("mailboxLimit: 0 accepts a turn that need not wait", async () => {
  const open = Promise.withResolvers<void>();
  await using scene = await Scene.open({ session: { mailboxLimit: 0 }, script: () => open.promise });
  const one = query(scene.name, "one");
  await failure(query(scene.name, "two"), "MAILBOX_FULL");
  open.resolve();
  await one;
});

test("mailboxLimit: a turn that is requeued after a crash does not count", async () => {
  await using scene = await Scene.open({
    session: { mailboxLimit: 1 },
    script: async (turn) => {
      if (turn.index === 0) await turn.crash();
      await turn.text(turn.prompt);
    },
  });
  const replies = [query(scene.name, "a"), query(scene.name, "b")];
  expect((await Promise.all(replies)).map(({ text }) => text)).toEqual(["a", "b"]);
});

test('whenBusy: "reject" rejects with SESSION_BUSY while another turn runs or waits', async () => {
  const open = Promise.withResolvers<void>();
  await using scene = await Scene.open({ script: () => open.promise, session: { whenBusy: "reject" } });
  const one = query(scene.name, "one");
  await failure(query(scene.name, "two"), "SESSION_BUSY");
  const patient = query(scene.name, "three", { whenBusy: "enqueue" });
  await failure(query(scene.name, "four"), "SESSION_BUSY");
  open.resolve();
  await Promise.all([one, patient]);
  await query(scene.name, "five");
  expect(scene.fake.processes[0]?.prompts).toEqual(["one", "three", "five"]);
});

test('whenBusy: "reject" counts a turn that ended for its caller while the process still works', async () => {
  const open = Promise.withResolvers<void>();
  await using scene = await Scene.open({ fake: { ignoreInterrupt: true }, script: () => open.promise });
  const abort = new AbortController();
  const one = query(scene.name, "one", { signal: abort.signal });
  await scene.fake.prompted(1);
  abort.abort();
  await failure(one, "TURN_INTERRUPTED");
  await failure(query(scene.name, "two", { whenBusy: "reject" }), "SESSION_BUSY");
  open.resolve();
  await eventually(() => scene.session.status().state === "idle");
  await query(scene.name, "two", { whenBusy: "reject" });
});

test("Mailbox: queued turns survive a crash in order", async () => {
  await using scene = await Scene.open({
    script: async (turn) => {
      if (turn.index === 0) await turn.crash({ signal: "SIGKILL" });
      await turn.text(turn.prompt);
    },
  });
  const prompts = ["one", "two", "three", "four"];
  const replies = await Promise.all(prompts.map((prompt) => query(scene.name, prompt)));
  expect(replies.map(({ text }) => text)).toEqual(prompts);
  expect(scene.fake.processes[1]?.prompts).toEqual(prompts);
});

import { tmpdir } from "node:os";
import { query, Supervisor } from "castellan";
import { expect, test } from "vitest";
import { endProject, inDraft, startProject, startSupport, support } from "../../examples/dynamic-sessions.ts";
import { onFake } from "./on-fake.ts";

test("dynamic-sessions.ts: starts and ends a session while the supervisor runs", async () => {
  const { options } = onFake();
  await using supervisor = await Supervisor.start([], options);
  const project = await startProject(supervisor, "apollo", tmpdir());
  expect(await project.query("hi")).toMatchObject({ text: "You said: hi" });
  expect(supervisor.listSessions({ prefix: "project" })).toHaveLength(1);
  await endProject(supervisor, "apollo");
  await expect(query(["project", "apollo"], "hi")).rejects.toMatchObject({ code: "SESSION_NOT_FOUND" });
});

test("dynamic-sessions.ts: starts a template's session on first use, hibernates it, and keeps its conversation", async () => {
  const { fake, options } = onFake(async (turn) => turn.text(`${turn.history.length / 2} before`));
  await using supervisor = await startSupport(options);
  expect(fake.processes).toHaveLength(0);
  expect(await support(42, "hello")).toMatchObject({ text: "0 before" });
  expect(await support(43, "hello")).toMatchObject({ text: "0 before" });
  await supervisor.session(["support", 42]).hibernate();
  expect(supervisor.session(["support", 42]).status()).toMatchObject({ state: "hibernated" });
  expect(await support(42, "again")).toMatchObject({ text: "1 before" });
  expect(fake.processes).toHaveLength(3);
});

test("dynamic-sessions.ts: forks a conversation, and ends the fork with its scope", async () => {
  const { options } = onFake(async (turn) => turn.text(`${turn.history.length / 2} before`));
  await using supervisor = await Supervisor.start([{ name: "assistant" }], options);
  await query("assistant", "one");
  await inDraft(supervisor, async (draft) => {
    expect(await draft.query("two")).toMatchObject({ text: "1 before" });
  });
  expect(supervisor.countSessions()).toBe(1);
  expect(await query("assistant", "two")).toMatchObject({ text: "1 before" });
});

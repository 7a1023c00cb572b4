import { query, Supervisor, session, template } from "castellan";
import { expect, test } from "vitest";
import {
  apply,
  busySessions,
  close,
  conversationsOf,
  putAway,
  reloadFiles,
  show,
  shutDown,
  spending,
  startOver,
} from "../../examples/management.ts";
import { onFake } from "./on-fake.ts";

test("management.ts: lists sessions, restarts them with and without their conversation, and ends them", async () => {
  const { fake, options } = onFake(async (turn) => {
    if (turn.prompt === "long") await turn.hang();
    await turn.text(`${turn.history.length / 2} before`);
  });
  await using supervisor = await Supervisor.start([{ name: "assistant" }], options);
  await query("assistant", "one");
  const long = session("assistant").stream("long");
  const cut = long.result().catch((error: unknown) => error);
  await fake.prompted(2);
  expect(busySessions(supervisor)).toEqual([`"assistant" pid ${fake.processes[0]?.pid}, 0 waiting`]);
  await long.interrupt();
  expect(await cut).toMatchObject({ code: "TURN_INTERRUPTED" });
  await reloadFiles(supervisor);
  expect(fake.processes).toHaveLength(2);
  expect((await query("assistant", "two")).text).not.toBe("0 before");
  await startOver(supervisor);
  expect(await query("assistant", "three")).toMatchObject({ text: "0 before" });
  expect(show(supervisor)).toContain('session "assistant"  idle');
  expect((await spending(supervisor, "2026-01-01")).get('"assistant"')).toBeCloseTo(0.03);
  await close(supervisor);
  expect(supervisor.countSessions()).toBe(0);
});

test("management.ts: applies a changed list to the changed sessions only", async () => {
  const { options } = onFake();
  await using supervisor = await Supervisor.start([], options);
  await apply(supervisor, { a: "You are A", b: "You are B", c: "You are C" });
  const before = session("a").status().pid;
  const report = await apply(supervisor, { a: "You are A", b: "You are Berta", d: "You are D" });
  expect(report).toEqual({ added: ["d"], removed: ["c"], changed: ["b"], failed: [] });
  expect(session("a").status().pid).toBe(before);
});

test("management.ts: lets turns finish before it shuts down", async () => {
  const { fake, options } = onFake();
  const supervisor = await Supervisor.start([{ name: "assistant" }], options);
  const reply = query("assistant", "one");
  await fake.prompted(1);
  expect(await shutDown(supervisor)).toBe(true);
  expect(await reply).toMatchObject({ text: "You said: one" });
});

test("management.ts: finds the conversations of a user, and archives one", async () => {
  const { options } = onFake(async (turn) => {
    await turn.text("yes");
  });
  const chats = template("chat", (user: string, _topic: string) => ({ labels: { user } }));
  await using supervisor = await Supervisor.start([chats], options);
  for (const topic of ["a", "b"]) await query(["chat", "ann", topic], "hello");
  await query(["chat", "bob", "a"], "hello");
  await session(["chat", "ann", "a"]).describe({ title: "The first" });
  expect(await conversationsOf(supervisor, "ann")).toEqual(["The first", '["chat","ann","b"]']);
  await putAway(session(["chat", "ann", "a"]));
  expect(await conversationsOf(supervisor, "ann")).toEqual(['["chat","ann","b"]']);
});

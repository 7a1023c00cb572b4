import { query, Supervisor, session } from "castellan";
import { expect, test } from "vitest";
import { load, opened, startSized } from "../../examples/sizing.ts";
import { onFake } from "./on-fake.ts";

test("sizing.ts: starts a touched session ahead of its turn, and shows the load", async () => {
  const { fake, options } = onFake();
  await using supervisor = await startSized(options);
  expect(load(supervisor)).toBe("2 of 16 processes, 0 sessions wait, 0 turns run");
  await opened(42);
  await fake.started(3);
  expect(await query(["support", 42], "hello")).toMatchObject({ text: "You said: hello" });
  expect(fake.processes).toHaveLength(3);
  expect(load(supervisor)).toBe("3 of 16 processes, 0 sessions wait, 0 turns run");
});

test("sizing.ts: the options hold for the sessions", async () => {
  const { options } = onFake();
  await using supervisor = await startSized(options);
  expect(supervisor).toBeInstanceOf(Supervisor);
  await session("assistant").hibernate();
  expect(session("assistant").status().state).toBe("hibernated");
  expect(supervisor.capacity().limits).toEqual({ processes: 16, memoryBytes: 6 * 2 ** 30, turns: 12, turnsPerKey: 8 });
});

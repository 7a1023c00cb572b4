import { Supervisor, session, template } from "castellan";
import { expect, test } from "vitest";
import { cancelAll, remind, report } from "../../examples/schedules.ts";
import { onFake } from "./on-fake.ts";

test("schedules.ts: keeps one schedule per key, runs a due prompt, and cancels", async () => {
  const { fake, options } = onFake();
  const children = [{ name: "news" }, template("support", () => ({}))];
  await using _supervisor = await Supervisor.start(children, { ...options, journal: "memory" });
  expect(await report()).toBe(await report());
  const [daily, ...others] = await session("news").schedules();
  expect([daily?.every, daily?.timezone, others]).toEqual(["0 9 * * 1-5", "Europe/Berlin", []]);
  expect(new Date(daily?.nextAt ?? 0).toLocaleTimeString("en-GB", { timeZone: "Europe/Berlin" })).toBe("09:00:00");
  expect(await cancelAll("news")).toEqual([daily]);
  expect(await session("news").schedules()).toEqual([]);
  const id = await remind(42, "the milk", new Date(0));
  await fake.prompted(1);
  const turn = await session(["support", 42]).turn(id);
  expect((await turn?.result())?.text).toBe("You said: Remind me: the milk");
});

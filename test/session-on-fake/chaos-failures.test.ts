import { expect, test } from "vitest";
import { Supervisor } from "../../src/index.ts";
import { fakeTarget } from "../chaos/chaos-target.ts";
import { unique } from "./scene.ts";

test("fakeTarget().failNext(): a failure that no request met in time fails no later request", async () => {
  let now = 0;
  await using target = fakeTarget(() => now);
  const name = unique("asked");
  await using supervisor = await Supervisor.start([{ name, ...target.defaults }]);
  const ask = (prompt: string): Promise<string> =>
    supervisor
      .session(name)
      .query(prompt)
      .then(
        ({ text }) => text,
        ({ code }) => code,
      );

  target.failNext({ status: 400, message: "x" }, 50);
  now = 49;
  expect(await ask("say k1")).toBe("TURN_FAILED");
  expect(await ask("say k2")).toBe("k2 answer 1");

  target.failNext({ status: 400, message: "x" }, 50);
  target.failNext({ status: 400, message: "x" }, 60);
  now = 100;
  expect(await ask("say k3")).toBe("TURN_FAILED");
  expect(await ask("say k4")).toBe("k4 answer 1");
});

import { expect, test } from "vitest";
import { Supervisor } from "../../src/index.ts";
import { paced } from "../../src/paced.ts";

/** Counts the rounds of the event loop until the work is done. */
async function roundsDuring(work: Promise<unknown>): Promise<number> {
  let [rounds, over] = [0, false];
  const next = (): void => {
    rounds += 1;
    if (!over) setImmediate(next);
  };
  setImmediate(next);
  await work.finally(() => {
    over = true;
  });
  return rounds;
}

test("paced: works in order, one after the other, and lets the event loop run in between", async () => {
  const done: number[] = [];
  let busy = false;
  const work = paced(
    Array.from({ length: 1_000 }, (_, index) => index),
    async (item) => {
      expect(busy).toBe(false);
      busy = true;
      await Promise.resolve();
      busy = false;
      done.push(item);
    },
  );
  expect(await roundsDuring(work)).toBeGreaterThan(25);
  expect(done).toEqual(done.toSorted((one, other) => one - other));
  expect(done).toHaveLength(1_000);
});

test("paced: stops at the first failure", async () => {
  const done: number[] = [];
  const work = paced([1, 2, 3], (item) => {
    if (item === 2) throw new Error("no");
    done.push(item);
  });
  await expect(work).rejects.toThrow("no");
  expect(done).toEqual([1]);
});

test("stop: lets the event loop run while it ends a thousand sessions", async () => {
  const children = Array.from({ length: 1_000 }, (_, index) => ({ name: `s-${index}`, activation: "lazy" as const }));
  const supervisor = await Supervisor.start(children, { logger: { info() {}, warn() {} } });
  const own = supervisor.session("s-7");
  // Closing, ending and releasing each take the sessions one after the other.
  expect(await roundsDuring(supervisor.stop())).toBeGreaterThan(75);
  await expect(own.query("hello")).rejects.toMatchObject({ code: "SUPERVISOR_STOPPED" });
});

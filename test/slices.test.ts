import { setImmediate as nextRound } from "node:timers/promises";
import { expect, it } from "vitest";
import { runInSlices } from "../src/slices.ts";

/** Blocks the event loop, as the work of a reader does. */
function work(ms: number): void {
  for (const end = performance.now() + ms; performance.now() < end; );
}

/** Counts the rounds of the event loop until `isOver`. */
async function roundsUntil(isOver: () => boolean): Promise<number> {
  let rounds = 0;
  for (; !isOver(); rounds++) await nextRound();
  return rounds;
}

it("runInSlices: runs all tasks in order, and lets the event loop run in between", async () => {
  const run: number[] = [];
  runInSlices(
    Array.from({ length: 100 }, (_, index) => () => {
      work(1);
      run.push(index);
    }),
  );
  expect(run).toEqual([]);
  expect(await roundsUntil(() => run.length === 100)).toBeGreaterThan(20);
  expect(run).toEqual(run.toSorted((a, b) => a - b));
});

it("runInSlices: counts what a task resolves as part of the task", async () => {
  const run: number[] = [];
  const tasks = Array.from({ length: 50 }, (_, index) => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const reader = async (): Promise<void> => {
      await promise;
      await null;
      work(1);
      run.push(index);
    };
    void reader();
    return resolve;
  });
  runInSlices(tasks);
  expect(await roundsUntil(() => run.length === 50)).toBeGreaterThan(10);
  expect(run).toEqual(run.toSorted((a, b) => a - b));
});

it("runInSlices: takes few rounds for short tasks, and runs tasks that tasks add", async () => {
  const run: string[] = [];
  const last = (): void => void run.push("last");
  runInSlices([...Array.from({ length: 100 }, () => () => void run.push("first")), () => runInSlices([last])]);
  expect(await roundsUntil(() => run.at(-1) === "last")).toBeLessThan(20);
  expect(run).toHaveLength(101);
});

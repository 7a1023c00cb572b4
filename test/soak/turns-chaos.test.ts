import { randomInt } from "node:crypto";
import { expect, test } from "vitest";
import { randomFrom } from "../../bench/random.ts";
import { chaos } from "../chaos/chaos-run.ts";
import { fakeTarget } from "../chaos/chaos-target.ts";
import { faultsIn } from "../chaos/chaos-verdict.ts";

const SEED = Number(process.env["CHAOS_SEED"] ?? randomInt(2 ** 32 - 1));

/** The first seconds of `npm run test:chaos -- --on fake`. */
test(`Chaos: ends each turn once and repeats nothing, whatever fails (CHAOS_SEED=${SEED})`, {
  timeout: 60_000,
}, async () => {
  await using target = fakeTarget();
  const setting = { names: 30, maxProcesses: 8, callers: 20, everyMs: 20, durationMs: 2_500 };
  const record = await chaos({ target, random: randomFrom(SEED), ...setting });
  expect(faultsIn(record)).toEqual([]);
  expect(record.journal.turns.some(({ state }) => state === "completed")).toBe(true);
  expect([...record.disturbances.values()].reduce((sum, count) => sum + count, 0)).toBeGreaterThan(5);
});

test("faultsIn(): finds repeated work, doubled prompts, extra requests and leftover processes", async () => {
  await using target = fakeTarget();
  const setting = { names: 3, maxProcesses: 2, callers: 2, everyMs: 50, durationMs: 200 };
  const record = await chaos({ target, random: randomFrom(1), ...setting });
  expect(faultsIn(record)).toEqual([]);
  const [turn] = record.turns.filter(({ outcomes }) => outcomes.some((end) => "text" in end));
  const key = turn?.key ?? "";
  const spoilt = {
    ...target,
    appended: [key, key],
    doubled: [key],
    model: new Map([[key, { prompts: 9, answers: 1 }]]),
  };
  const faults = faultsIn({ ...record, target: spoilt, left: [1] }).join("\n");
  for (const words of ["was done 2 times", "occurs twice", "reached the model 9 times", "processes were left"]) {
    expect(faults).toContain(words);
  }
});

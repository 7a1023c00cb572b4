import { randomInt } from "node:crypto";
import { expect, it } from "vitest";
import { randomFrom } from "../../bench/random.ts";
import { NOTICED } from "../real/keyed-model.ts";
import { chaos } from "./chaos-run.ts";
import { fakeTarget, realTarget } from "./chaos-target.ts";
import { faultsIn } from "./chaos-verdict.ts";

const SEED = Number(process.env["CHAOS_SEED"] ?? randomInt(2 ** 32 - 1));
const MINUTES = Number(process.env["CHAOS_MINUTES"] ?? 1);

const KINDS = ["fake", "real"] as const;
const kinds = KINDS.filter((kind) => (process.env["CHAOS_ON"] ?? kind) === kind);
if (kinds.length === 0) throw new Error(`CHAOS_ON is one of ${KINDS.join(", ")}`);

const TARGETS = {
  fake: { open: async () => fakeTarget(), names: 40, maxProcesses: 8, callers: 24, everyMs: 25 },
  real: { open: realTarget, names: 6, maxProcesses: 3, callers: 5, everyMs: 700 },
} as const;

it.each(kinds)(
  `Castellan on %s processes: ends each turn once, and does or says nothing twice, under random faults (seed ${SEED}, ${MINUTES} minutes)`,
  {
    timeout: (MINUTES + 3) * 60_000,
  },
  async (on) => {
    const { open, ...numbers } = TARGETS[on];
    await using target = await open();
    const record = await chaos({ target, random: randomFrom(SEED), durationMs: MINUTES * 60_000, ...numbers });
    const ends = Object.groupBy(record.journal.turns, ({ state, attempts }) => `${state} after ${attempts}`);
    const counts = Object.fromEntries(Object.entries(ends).map(([end, turns]) => [end, turns?.length]));
    console.log(
      `${on}, seed ${SEED}:`,
      JSON.stringify({
        ...counts,
        unprompted: record.unprompted.size,
        disturbances: Object.fromEntries(record.disturbances),
      }),
    );
    expect(faultsIn(record)).toEqual([]);
    // The faults did happen, and most turns completed nevertheless.
    const completed = record.journal.turns.filter(({ state }) => state === "completed").length;
    expect(completed).toBeGreaterThan(record.turns.length / 3);
    const noticed = [...record.unprompted.values()].filter(([end]) => end === NOTICED).length;
    expect(noticed).toBeGreaterThan(0);
    expect(record.disturbances.size).toBeGreaterThan(MINUTES > 0.5 ? 7 : 3);
  },
);

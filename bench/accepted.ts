import { copyFile } from "node:fs/promises";
import { join } from "node:path";
import { Supervisor, type SupervisorOptions } from "../src/index.ts";
import { fakeInProcess } from "./backend.ts";
import type { Line } from "./line.ts";
import { spreadOf } from "./spread.ts";

/** Sessions, and the accepted turns of each. */
const SETTINGS = [
  [50, 100],
  [5_000, 1],
] as const;

/** Measures how long a new prompt takes beside 5,000 turns that an earlier run of the application has accepted. */
export const accepted: Line = {
  name: "accepted",
  rounds: 5,
  measure: async ({ rounds, directory }) => {
    const rows = [];
    for (const [sessions, turns] of SETTINGS) {
      const full = join(directory, `accepted-${sessions}.db`);
      const names = Array.from({ length: sessions }, (_, index) => `name-${index}`);
      await fill(full, names, turns);
      const took: number[] = [];
      for (let round = 0; round < rounds; round++) {
        const copy = join(directory, `accepted-${sessions}-${round}.db`);
        await copyFile(full, copy);
        took.push(await firstAnswer(copy, names));
      }
      const what = `new prompt beside ${sessions.toLocaleString("en")} × ${turns} accepted turns, 16 processes`;
      rows.push({ what, on: "fake in the process", unit: "ms", castellan: spreadOf(took), budget: { atMost: 1_000 } });
    }
    return rows;
  },
};

const children = (names: readonly string[]) =>
  names.map((name) => ({ name, activation: "lazy", mailboxLimit: 10_000 }) as const);

async function started(sqlite: string, names: readonly string[], options: SupervisorOptions): Promise<Supervisor> {
  const logger = { info: () => {}, warn: () => {} };
  return await Supervisor.start(children(names), { name: "accepted", journal: { sqlite }, logger, ...options });
}

/** Has turns accepted while no process can start. */
async function fill(sqlite: string, names: readonly string[], turns: number): Promise<void> {
  const spawnClaudeCodeProcess = (): never => {
    throw Object.assign(new Error("no process can start"), { code: "EAGAIN" });
  };
  const supervisor = await started(sqlite, names, { defaults: { spawnClaudeCodeProcess } });
  const all = names.flatMap((name) =>
    Array.from({ length: turns }, (_, turn) => [name, `Do number ${turn}.`] as const),
  );
  await Promise.all(all.map(([name, prompt]) => supervisor.session(name).enqueue(prompt)));
  await supervisor.stop();
}

/** Returns how long the first answer of another session takes after a start, in milliseconds. */
async function firstAnswer(sqlite: string, names: readonly string[]): Promise<number> {
  const { options, close } = fakeInProcess();
  const supervisor = await started(sqlite, [...names, "new"], { defaults: options, capacity: { maxProcesses: 16 } });
  const since = performance.now();
  await supervisor.session("new").query("Do this, please.");
  const took = performance.now() - since;
  await supervisor.stop({ kill: true });
  await close();
  return took;
}

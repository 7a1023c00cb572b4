import { Supervisor } from "../src/index.ts";
import { fakeInProcess } from "./backend.ts";
import { nameOf } from "./growth-journal.ts";

/* Hosts names on a journal that is in use, with the fake in the process. Measures a round of turns for each message of the parent. */

/** The CPU time of a turn, in microseconds. */
export interface TurnCost {
  readonly main: number;
  /** Of all threads: also of SQLite, and of garbage collection. */
  readonly process: number;
}

/** Sessions that have turns, spread over all names, and the turns of each in a round. */
const SESSIONS = 50;
const TURNS = 20;

const [sqlite = "", names = "0"] = process.argv.slice(2);
const backend = fakeInProcess();
const supervisor = await Supervisor.start(
  Array.from({ length: Number(names) }, (_, index) => ({ name: nameOf(index), activation: "lazy" }) as const),
  { journal: { sqlite }, defaults: backend.options, logger: { info: () => {}, warn: () => {} } },
);
const step = Number(names) / SESSIONS;
const sessions = Array.from({ length: SESSIONS }, (_, index) => supervisor.session(nameOf(index * step)));

async function round(): Promise<void> {
  await Promise.all(
    sessions.map(async (session) => {
      for (let turn = 0; turn < TURNS; turn++) await session.query(`Do number ${turn}, please.`);
    }),
  );
}

async function measured(): Promise<TurnCost> {
  const [all, main] = [process.cpuUsage(), process.threadCpuUsage()];
  await round();
  const perTurn = ({ user, system }: NodeJS.CpuUsage): number => (user + system) / (SESSIONS * TURNS);
  return { main: perTurn(process.threadCpuUsage(main)), process: perTurn(process.cpuUsage(all)) };
}

// The first rounds start the processes, and compile the code.
for (let warmUp = 0; warmUp < 3; warmUp++) await round();
process.on("message", async () => process.send?.(await measured()));
process.on("disconnect", async () => {
  await supervisor.stop();
  await backend.close();
});
process.send?.("ready");

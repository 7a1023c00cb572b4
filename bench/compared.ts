import { join } from "node:path";
import type { JournalOptions } from "../src/index.ts";
import type * as Backends from "./backend.ts";
import type * as Contenders from "./castellan.ts";
import { timed } from "./rounds.ts";

/* One side of a comparison: `compared.ts <folder of a checkout>`. Runs a round of that checkout for each message. */

/** A round to run. */
export interface RoundAsked {
  readonly journal: JournalOptions;
  readonly sessions: number;
  /** Turns per session. */
  readonly turns: number;
}

/** What a round measured. */
export interface RoundTaken {
  readonly turnsPerSecond: number;
  /** CPU time per turn of the main thread, in microseconds. */
  readonly main: number;
  /** CPU time per turn of the other threads, in microseconds: of SQLite, and of garbage collection. */
  readonly others: number;
}

const [folder = "."] = process.argv.slice(2);
const { castellan } = (await import(join(folder, "bench/castellan.ts"))) as typeof Contenders;
const { fakeInProcess } = (await import(join(folder, "bench/backend.ts"))) as typeof Backends;

async function run({ journal, sessions, turns }: RoundAsked): Promise<RoundTaken> {
  const backend = fakeInProcess();
  const conversations = await castellan("compared", () => journal).open(backend, sessions);
  const askAll = (): Promise<unknown> =>
    Promise.all(
      Array.from({ length: sessions }, async (_, session) => {
        for (let turn = 0; turn < turns; turn++) await conversations.ask(session, `Do number ${turn}, please.`);
      }),
    );
  await askAll();
  const [all, main] = [process.cpuUsage(), process.threadCpuUsage()];
  const ms = await timed(askAll);
  const [allUsed, mainUsed] = [process.cpuUsage(all), process.threadCpuUsage(main)];
  await conversations.close();
  await backend.close();
  const count = sessions * turns;
  const perTurn = ({ user, system }: NodeJS.CpuUsage): number => (user + system) / count;
  const mainPerTurn = perTurn(mainUsed);
  return { turnsPerSecond: (count * 1_000) / ms, main: mainPerTurn, others: perTurn(allUsed) - mainPerTurn };
}

process.on("message", (asked: RoundAsked) => {
  void run(asked).then((taken) => process.send?.(taken));
});

import { query, Supervisor, type SupervisorOptions, template } from "../src/index.ts";
import { shuffled } from "./random.ts";
import { timed } from "./rounds.ts";

export interface PopulationSetting {
  readonly names: number;
  readonly maxProcesses: number;
  /** The number of concurrent callers. */
  readonly callers: number;
  readonly random: () => number;
  readonly journal: { readonly sqlite: string };
  readonly defaults: NonNullable<SupervisorOptions["defaults"]>;
  /** Called after each answer. */
  readonly answered?: (supervisor: Supervisor) => void;
}

export interface PopulationReport {
  readonly turns: number;
  /** The number of wrong answers. */
  readonly wrong: number;
  readonly seconds: number;
}

/**
 * Tells each of many sessions a number and asks for it later, in random order, with far fewer processes than names. Only a session that
 * wakes with its conversation can answer.
 */
export async function populate(setting: PopulationSetting): Promise<PopulationReport> {
  const { journal, maxProcesses, defaults, random, names } = setting;
  await using supervisor = await Supervisor.start([template("user")], {
    journal,
    capacity: { maxProcesses },
    defaults,
  });
  const visited = new Map<number, Promise<void>>();
  let wrong = 0;
  const visit = async (number: number): Promise<void> => {
    const told = visited.get(number);
    const { promise, resolve } = Promise.withResolvers<void>();
    if (told === undefined) visited.set(number, promise);
    // A session must be told before it is asked, even if another caller tells it.
    await told;
    const prompt = told === undefined ? `My number is ${number}.` : "What did I just say?";
    const { text } = await query(["user", number], prompt);
    const expected = told === undefined ? `You said: ${prompt}` : `You just said: My number is ${number}.`;
    if (text !== expected) wrong += 1;
    setting.answered?.(supervisor);
    resolve();
  };
  const numbers = Array.from({ length: names }, (_, number) => number);
  const visits = shuffled([...numbers, ...numbers], random);
  const next = visits.values();
  const call = async (): Promise<void> => {
    for (const number of next) await visit(number);
  };
  const ms = await timed(() => Promise.all(Array.from({ length: setting.callers }, call)));
  return { turns: visits.length, wrong, seconds: ms / 1_000 };
}

import type { Journal } from "../src/index.ts";
import { fakeInProcess } from "./backend.ts";
import { bareSdk } from "./bare-sdk.ts";
import { castellan, enqueue, sqlite } from "./castellan.ts";
import type { Line } from "./line.ts";
import { compete } from "./rounds.ts";
import { freshTurns, TURNS, turnsOf } from "./turns.ts";

/** Measures the cost of each journal with the fake in the process, where other costs are smallest. */
export const journals: Line = {
  name: "journals",
  rounds: 15,
  measure: async ({ rounds, directory }) => {
    const contenders = [
      bareSdk,
      castellan("no journal", noJournal),
      castellan("memory", () => "memory"),
      castellan("sqlite", () => sqlite(directory)),
      castellan("sqlite, enqueue", () => sqlite(directory), enqueue),
    ];
    const rows = [];
    for (const setting of TURNS) {
      const scores = await compete(
        contenders.map((contender) => freshTurns(contender, fakeInProcess, setting)),
        rounds,
      );
      const [bare, ...others] = scores;
      for (const { name, figure, ratio } of bare === undefined ? [] : others) {
        const what = `${turnsOf(setting)}: ${name}`;
        const figures = { ...(bare === undefined ? {} : { bare: bare.figure }), castellan: figure, ratio };
        rows.push({ what, on: "fake in the process", unit: "/s", ...figures });
      }
    }
    return rows;
  },
};

/** A journal that stores nothing, to measure Castellan without a journal. */
function noJournal(): Journal {
  return {
    location: "nowhere",
    open: async () => {},
    close: async () => {},
    write: async () => {},
    sessions: async () => [],
    unfinishedBeginning: async () => [],
    turn: async () => undefined,
    listSessions: async () => [],
    turns: async () => [],
    unfinishedTurns: async () => [],
    approvals: async () => [],
    conversations: async () => [],
    records: async function* () {},
    job: async () => undefined,
    jobs: async function* () {},
    dueBeginning: async () => [],
    deliveries: async () => [],
    extent: async () => ({ turns: 0, approvals: 0, events: 0 }),
    events: async () => [],
    eventExtent: async () => undefined,
    content: async () => undefined,
    usage: async () => [],
    prune: async () => 0,
  };
}

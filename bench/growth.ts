import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { TurnCost } from "./growth-host.ts";
import { type Amounts, GrowthJournal } from "./growth-journal.ts";
import type { Line, Row } from "./line.ts";
import { type Curve, plotOf } from "./plot.ts";
import { ratioTo } from "./rounds.ts";
import { spreadOf } from "./spread.ts";

const BASE: Amounts = { names: 1_000, turns: 10_000, events: 100_000 };

/** What grows, one at a time, and by how much. */
const GROWN = ["names", "turns", "events"] as const;
const FACTORS = [1, 2, 5, 10] as const;

const MEANT = { names: "names", turns: "turns in the journal", events: "events in the journal" } as const;

/** The plot of the last run. */
const PLOT = fileURLToPath(new URL("../docs/pictures/cost-per-turn.svg", import.meta.url));

interface Point {
  readonly what: (typeof GROWN)[number];
  readonly factor: number;
  readonly host: ChildProcess;
  readonly costs: TurnCost[];
}

/** Measures the CPU time of a turn while names, turns or events grow tenfold, and draws a plot of it. */
export const growth: Line = {
  name: "growth",
  rounds: 7,
  measure: async ({ rounds, directory }) => {
    const points = await started(directory);
    try {
      for (let round = 0; round < rounds; round++) {
        for (const offset of points.keys()) {
          const point = points[(round + offset) % points.length];
          point?.costs.push(await measured(point.host));
        }
      }
    } finally {
      await Promise.all(points.map(({ host }) => ended(host)));
    }
    await writeFile(PLOT, plotOf(AXES, curvesOf(points)));
    return points.map((point): Row => rowOf(point, pointOf(points, point.what, 1)));
  },
};

/** Starts a host of each point, which all go on until the end, so that the rounds alternate. If one fails, ends the others. */
async function started(directory: string): Promise<Point[]> {
  const points: Point[] = [];
  try {
    for (const what of GROWN) {
      const journal = new GrowthJournal(join(directory, `growth-${what}.db`), BASE.names);
      for (const factor of FACTORS) {
        const amounts = { ...BASE, [what]: BASE[what] * factor };
        const file = join(directory, `growth-${what}-${factor}.db`);
        await journal.copyWith(amounts, file);
        const path = fileURLToPath(new URL("./growth-host.ts", import.meta.url));
        const host = fork(path, [file, String(amounts.names)], { execArgv: [] });
        points.push({ what, factor, host, costs: [] });
        await message(host);
      }
    }
    return points;
  } catch (error) {
    await Promise.all(points.map(({ host }) => ended(host)));
    throw error;
  }
}

async function measured(host: ChildProcess): Promise<TurnCost> {
  host.send("measure");
  return (await message(host)) as TurnCost;
}

/** Resolves with the next message of a host. Rejects if the host exits before. */
async function message(host: ChildProcess): Promise<unknown> {
  const gone = new AbortController();
  const abort = (code: number | null): void => gone.abort(new Error(`a host exited with code ${code}`));
  host.once("exit", abort);
  try {
    const [received] = (await once(host, "message", { signal: gone.signal })) as [unknown];
    return received;
  } finally {
    host.off("exit", abort);
  }
}

async function ended(host: ChildProcess): Promise<void> {
  if (host.exitCode !== null || host.signalCode !== null) return;
  const gone = once(host, "exit");
  host.disconnect();
  await gone;
}

function pointOf(points: readonly Point[], what: Point["what"], factor: number): Point {
  const point = points.find((one) => one.what === what && one.factor === factor);
  if (point === undefined) throw new Error(`no point of ${factor} times the ${what}`);
  return point;
}

function rowOf({ what, factor, costs }: Point, base: Point): Row {
  const main = (of: Point["costs"]): number[] => of.map((cost) => cost.main);
  return {
    what: `CPU time of a turn, ${(BASE[what] * factor).toLocaleString("en")} ${MEANT[what]}`,
    on: "fake in the process",
    unit: "us, main thread",
    castellan: spreadOf(main(costs)),
    ...(factor > 1 && { ratio: ratioTo(main(base.costs), main(costs)), budget: { atMost: 1.1 } }),
  };
}

const AXES = {
  title: "CPU time of a turn, as an application grows tenfold",
  x: `size: ${GROWN.map((what) => `${BASE[what].toLocaleString("en")} ${MEANT[what]}`).join(", ")}, times`,
  y: "CPU time of a turn, µs",
};

function curvesOf(points: readonly Point[]): Curve[] {
  return GROWN.flatMap((what) =>
    (["process", "main"] as const).map((kind) => ({
      name: `${what}, ${kind === "main" ? "main thread" : "all threads"}`,
      dashed: kind === "process",
      points: points
        .filter((point) => point.what === what)
        .map(({ factor, costs }) => [factor, spreadOf(costs.map((cost) => cost[kind])).median] as const),
    })),
  );
}

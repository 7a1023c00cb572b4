import { type ChildProcess, fork } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import Table from "cli-table3";
import type { JournalOptions } from "../src/index.ts";
import { PostgresServer } from "../test/journal/postgres-server.ts";
import type { RoundAsked, RoundTaken } from "./compared.ts";
import { delayedServer } from "./delayed-server.ts";
import { ratioTo } from "./rounds.ts";
import { figureOf, type Spread } from "./spread.ts";

/* Compares this checkout to an earlier one: turns a second and CPU time, in alternation, with the fake in the process. */

const USAGE = `npm run bench:compare -- --with <folder of another checkout> [options]
  --journal <kind>  memory, sqlite or postgres; repeatable (all)
  --sessions <n>    the number of concurrent sessions; repeatable (1 and 50)
  --latency <ms>    how much longer PostgreSQL takes for an answer (0)
  --turns <n>       the turns of all sessions in a round (200 of one session, 500 of more)
  --rounds <n>      how many rounds each side has (15)
  --help            this text`;

const { values: options } = parseArgs({
  options: {
    with: { type: "string" },
    journal: { type: "string", multiple: true, default: ["memory", "sqlite", "postgres"] },
    sessions: { type: "string", multiple: true, default: ["1", "50"] },
    turns: { type: "string" },
    latency: { type: "string", default: "0" },
    rounds: { type: "string", default: "15" },
    help: { type: "boolean", default: false },
  },
});

/** The turns of all sessions in a round. */
const TURNS = { one: 200, many: 500 };

const HERE = fileURLToPath(new URL("..", import.meta.url));

/** A process that runs the rounds of one checkout. */
class Side {
  readonly #process: ChildProcess;

  constructor(folder: string) {
    this.#process = fork(fileURLToPath(new URL("./compared.ts", import.meta.url)), [folder]);
  }

  async round(asked: RoundAsked): Promise<RoundTaken> {
    const exit = new AbortController();
    this.#process.once("exit", (code) => exit.abort(new Error(`a measuring process exited with code ${code}`)));
    this.#process.send(asked);
    const [taken] = (await once(this.#process, "message", { signal: exit.signal })) as [RoundTaken];
    this.#process.removeAllListeners("exit");
    return taken;
  }

  end(): void {
    this.#process.disconnect();
  }
}

async function run(folder: string): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), "castellan-compare-"));
  const server = options.journal.includes("postgres") ? await PostgresServer.start() : undefined;
  const latency = Number(options.latency);
  const delayed = server !== undefined && latency > 0 ? await delayedServer(server.port, latency) : undefined;
  const sides = [new Side(folder), new Side(HERE)];
  const head = [
    "journal",
    "sessions",
    "turns/s before",
    "turns/s",
    "ratio",
    "main thread, ratio",
    "other threads, ratio",
  ];
  const table = new Table({ head, style: { head: [], border: [] } });
  try {
    for (const kind of options.journal) {
      for (const sessions of options.sessions.map(Number)) {
        const all = Number(options.turns ?? (sessions === 1 ? TURNS.one : TURNS.many));
        const turns = Math.ceil(all / sessions);
        const journal = (): JournalOptions => {
          if (kind === "memory") return "memory";
          return server !== undefined && kind === "postgres"
            ? server.fresh(delayed?.port)
            : { sqlite: join(directory, `${randomUUID()}.db`) };
        };
        const taken: RoundTaken[][] = [[], []];
        for (let round = -1; round < Number(options.rounds); round++) {
          for (const offset of sides.keys()) {
            const index = (Math.max(0, round) + offset) % sides.length;
            const figures = await sides[index]?.round({ journal: journal(), sessions, turns });
            if (round >= 0 && figures !== undefined) taken[index]?.push(figures);
          }
        }
        const [before = [], after = []] = taken;
        const of = (side: readonly RoundTaken[], figure: keyof RoundTaken): number[] => side.map((one) => one[figure]);
        const ratio = (figure: keyof RoundTaken): string => {
          const own = of(after, figure);
          return `${textOf(ratioTo(of(before, figure), own))}, ${figureOf(own)}`;
        };
        table.push([
          kind,
          sessions,
          figureOf(of(before, "turnsPerSecond")),
          figureOf(of(after, "turnsPerSecond")),
          textOf(ratioTo(of(before, "turnsPerSecond"), of(after, "turnsPerSecond"))),
          `${ratio("main")} us`,
          `${ratio("others")} us`,
        ]);
      }
    }
  } finally {
    for (const side of sides) side.end();
    delayed?.stop();
    await server?.remove();
    await rm(directory, { recursive: true });
  }
  console.log(table.toString());
}

function textOf({ median, low, high }: Spread): string {
  const [middle, from, to] = [median, low, high].map((figure) => figure.toFixed(2));
  return `${middle} (${from}..${to})`;
}

if (options.help || options.with === undefined) console.log(USAGE);
else await run(resolve(options.with));

import { clearScreenDown, cursorTo, emitKeypressEvents } from "node:readline";
import { type Command, InvalidArgumentError } from "commander";
import type { CastellanClient, FoundState, SessionInfo } from "../../client/index.ts";
import { pause, systemClock } from "../../clock.ts";
import { parseDuration } from "../../duration.ts";
import { clientFor, type ServerOptions, serverCommand } from "../connection/server-command.ts";
import { styled } from "../terminal/colors.ts";
import { print } from "../terminal/output.ts";
import { sessionTable } from "../terminal/session-table.ts";
import { cut, oneLine } from "../terminal/text.ts";

interface TopOptions extends ServerOptions {
  readonly interval: number;
}

/** The command `top`. */
export function topCommand(): Command {
  return serverCommand("top", "show the busiest sessions, and go on; q ends", [
    "castellan top",
    "castellan top --interval 500ms",
  ])
    .option("--interval <duration>", "how often to look", intervalOf, 2_000)
    .action(top);
}

/** What `top` shows at a time. */
interface Overview {
  readonly capacity: Awaited<ReturnType<CastellanClient["capacity"]>>;
  readonly approvals: number;
  readonly sessions: readonly SessionInfo[];
}

async function top(options: TopOptions): Promise<void> {
  const client = await clientFor(options);
  if (options.json || !process.stdout.isTTY) {
    const overview = await overviewOf(client);
    return print(options.json, overview, () => overviewText(overview, undefined, undefined));
  }
  const leaving = new AbortController();
  using _ = keys(() => leaving.abort());
  while (!leaving.signal.aborted) {
    const { columns, rows } = process.stdout;
    // A server that restarts is back in a moment.
    const shown = await overviewOf(client).then(
      (overview) => overviewText(overview, columns, rows),
      (error: unknown) => styled("red", error instanceof Error ? oneLine(error.message) : String(error)),
    );
    cursorTo(process.stdout, 0, 0);
    clearScreenDown(process.stdout);
    process.stdout.write(`${shown}\n`);
    await pause(systemClock, options.interval, { signal: leaving.signal });
  }
}

async function overviewOf(client: CastellanClient): Promise<Overview> {
  const [capacity, approvals, { sessions }] = await Promise.all([
    client.capacity(),
    client.approvals(),
    client.listSessions({ limit: 1_000 }),
  ]);
  const inMemory = sessions.filter(({ status }) => status !== undefined);
  return {
    capacity,
    approvals: approvals.length,
    sessions: inMemory.toSorted((one, other) => rank(one) - rank(other)),
  };
}

/** The states in the order of the list. */
const ORDER: readonly FoundState[] = [
  "busy",
  "waiting",
  "starting",
  "restarting",
  "quarantined",
  "idle",
  "hibernated",
  "stopped",
];

function rank({ state }: SessionInfo): number {
  const at = ORDER.indexOf(state);
  return at === -1 ? ORDER.length : at;
}

function overviewText(
  { capacity, approvals, sessions }: Overview,
  columns: number | undefined,
  rows: number | undefined,
): string {
  const { processes, waiting, turns } = capacity;
  const head = [
    `${processes} processes (${waiting} waiting), ${turns.running} turns (${turns.waiting} waiting), ${sessions.length} sessions`,
    approvals === 0 ? "no approval waits" : styled("yellow", `${approvals} approvals wait: castellan approvals`),
    "",
  ].map((line) => (columns === undefined ? line : cut(line, columns)));
  // The head, the head of the table, and the line that the cursor stands on.
  const room = rows === undefined ? sessions.length : Math.max(1, rows - head.length - 2);
  return [...head, sessionTable(sessions.slice(0, room), Date.now(), columns)].join("\n");
}

/** Calls back for `q` and Ctrl-C, which a terminal in raw mode sends as keys. */
function keys(leave: () => void): Disposable {
  const { stdin } = process;
  const onKey = (_: unknown, key: { readonly name?: string; readonly ctrl?: boolean }): void => {
    if (key.name === "q" || (key.ctrl === true && key.name === "c")) leave();
  };
  if (!stdin.isTTY) {
    process.once("SIGINT", leave);
    return { [Symbol.dispose]: () => void process.off("SIGINT", leave) };
  }
  emitKeypressEvents(stdin);
  stdin.setRawMode(true);
  stdin.on("keypress", onKey).resume();
  return {
    [Symbol.dispose]: () => {
      stdin.off("keypress", onKey).setRawMode(false);
      stdin.pause();
    },
  };
}

function intervalOf(text: string): number {
  const interval = parseDuration(/^\d+$/.test(text) ? Number(text) : text);
  if (interval === undefined || interval < 100)
    throw new InvalidArgumentError("Expected a duration of at least 100ms, such as 2s.");
  return interval;
}

import { formatDuration } from "../../duration.ts";
import type { ExitRecord } from "../../errors.ts";
import { formatName } from "../../names.ts";
import { printable } from "../../printable.ts";
import type { BudgetStatus } from "../../session/options/budget.ts";
import type { SessionStatus } from "../../session/status/session-status.ts";
import { describeOrigin, type EffectiveOptions } from "./effective-options.ts";
import type { ChildEnd, ChildInspection, Inspection, SupervisorInspection } from "./inspection.ts";

/** How much of a value, or of what an exit said, there is in a line. */
const MOST_CHARACTERS = 80;

/** A thing of the tree: what it says of itself, the first line of which is its heading, and what is below it. */
interface Node {
  readonly lines: readonly string[];
  readonly below: readonly Node[];
}

/**
 * The tree as a text to be read by people: states, processes and since when, mailboxes, budgets, the last exits, and the options
 * that are not as they are without being given, each with where it came from. Times are in UTC.
 *
 * @param inspection what `inspect()` gave, or a part of it
 * @param options what is shown
 * @param options.options whether options that nobody gave are shown too. Default `false`
 * @example
 * console.log(formatInspection(supervisor.inspect()));
 */
export function formatInspection(
  inspection: SupervisorInspection | Inspection,
  { options: all = false }: { readonly options?: boolean } = {},
): string {
  return printable(written(nodeOf(inspection, all)).join("\n"));
}

function written({ lines: [heading = "", ...lines], below }: Node): string[] {
  const bar = below.length > 0 ? "│ " : "  ";
  const own = [heading, ...lines.map((line) => `${bar}  ${line}`)];
  return own.concat(
    below.flatMap((node, index) => {
      const last = index === below.length - 1;
      const [head = "", ...rest] = written(node);
      return [`${last ? "└─" : "├─"} ${head}`, ...rest.map((line) => `${last ? "  " : "│ "} ${line}`)];
    }),
  );
}

function nodeOf(child: ChildInspection | SupervisorInspection, all: boolean): Node {
  switch (child.kind) {
    case "session": {
      const { status, budget, options, lastExits } = child;
      const exits = lastExits.map((exit) => `exit ${describeExit(exit)}`);
      const lines = [`session ${formatName(status.name)}  ${describeStatus(status, budget)}`, ...exits];
      return { lines: [...lines, ...describeOptions(options, all)], below: [] };
    }
    case "template":
      return { lines: [`template ${JSON.stringify(child.name)}  ${child.sessions} in memory`], below: [] };
    case "pool": {
      const { name, size, min, max, lent, idle, waiting } = child.status;
      const members = min === max ? `${size} members` : `${size} members of ${min} to ${max}`;
      const use = `${lent} lent  ${idle} idle  ${waiting} waiting`;
      return { lines: [`pool ${JSON.stringify(name)}  ${members}  ${use}`], below: [] };
    }
    case "worker": {
      const { name, state, restarts, lastExits } = child;
      const lines = [`worker ${JSON.stringify(name)}  ${state}  restarts ${restarts}`, ...lastExits.map(describeEnd)];
      return { lines, below: [] };
    }
    default: {
      const { name, state, strategy, restarts, lastExits = [] } = child;
      const often = restarts === undefined ? "" : `  restarts ${restarts}`;
      const heading = `supervisor ${JSON.stringify(name)}  ${state}  ${strategy}${often}`;
      const shared = "capacity" in child ? describeShared(child, all) : [];
      return {
        lines: [heading, ...lastExits.map(describeEnd), ...shared],
        below: child.children.map((below) => nodeOf(below, all)),
      };
    }
  }
}

function describeShared({ capacity, journal, budget, options }: SupervisorInspection, all: boolean): string[] {
  const { processes, waiting, turns, spares } = capacity;
  const most = options["capacity.maxProcesses"]?.value;
  const use = [
    `processes ${processes}${most === undefined ? "" : ` of ${most}`}`,
    `waiting ${waiting}`,
    `turns ${turns.running} running, ${turns.waiting} waiting`,
    `spares ${spares.ready}`,
    ...(budget === undefined ? [] : [describeBudget(budget)]),
  ];
  const fault = journal.fault === undefined ? "" : `  cannot be written: ${journal.fault}`;
  const place = journal.place === undefined ? [] : [`journal ${journal.place}${fault}`];
  return [use.join("  "), ...place, ...describeOptions(options, all)];
}

function describeStatus(status: SessionStatus, budget: BudgetStatus | undefined): string {
  const { state, pid, startedAt, memoryBytes, mailbox, tasks, restarts, waitingFor, retryAt } = status;
  return [
    state,
    ...(pid === undefined ? [] : [`pid ${pid}`]),
    ...(startedAt === undefined ? [] : [`since ${time(startedAt)}`]),
    ...(memoryBytes === undefined ? [] : [`${Math.round(memoryBytes / 1e6)} MB`]),
    `mailbox ${mailbox}`,
    ...(tasks[0] === undefined ? [] : [`background tasks ${tasks.length}, since ${time(tasks[0].since)}`]),
    `restarts ${restarts}`,
    ...(waitingFor === undefined ? [] : [`waits for ${waitingFor.for}${until(waitingFor.until)}`]),
    ...(retryAt === undefined ? [] : [`next start ${time(retryAt)}`]),
    ...(budget === undefined ? [] : [describeBudget(budget)]),
  ].join("  ");
}

function describeBudget({ spentUsd, limitUsd, per }: BudgetStatus): string {
  return `spent $${spentUsd.toFixed(4)} of $${limitUsd}${per === "day" ? " a day" : ""}`;
}

function describeEnd({ at, message }: ChildEnd): string {
  return `exit ${time(at)}: ${cut(message)}`;
}

function describeExit({ at, class: of, message, pid }: ExitRecord): string {
  return `${time(at)}${pid === undefined ? "" : `  pid ${pid}`}  ${of}: ${cut(message)}`;
}

function describeOptions(options: EffectiveOptions, all: boolean): string[] {
  return Object.entries(options).flatMap(([option, { value, origin }]) => {
    if (origin.from === "built_in" && !all) return [];
    return [`${option} = ${cut(shown(option, value))}  (${describeOrigin(origin)})`];
  });
}

/** Durations, which are the numbers of these options, in their usual form. */
function shown(option: string, value: unknown): string {
  const isDuration = option.endsWith("imeout") || option === "shutdown" || option === "maxAge";
  return isDuration && typeof value === "number" ? formatDuration(value) : (JSON.stringify(value) ?? String(value));
}

function until(at: number | undefined): string {
  return at === undefined ? "" : ` until ${time(at)}`;
}

function time(at: number): string {
  return new Date(at).toISOString();
}

function cut(text: string): string {
  const line = text.replaceAll(/\s+/g, " ");
  return line.length > MOST_CHARACTERS ? `${line.slice(0, MOST_CHARACTERS - 1)}…` : line;
}

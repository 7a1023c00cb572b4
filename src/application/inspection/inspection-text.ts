import { formatDuration } from "../../duration.ts";
import type { ExitRecord } from "../../errors.ts";
import { formatName } from "../../names.ts";
import { printable } from "../../printable.ts";
import type { BudgetStatus } from "../../session/options/budget.ts";
import type { SessionStatus } from "../../session/status/session-status.ts";
import { describeOrigin, type EffectiveOptions } from "./effective-options.ts";
import type { ChildEnd, ChildInspection, Inspection, SupervisorInspection } from "./inspection.ts";

/** The maximum length of a value or an exit message in a line. */
const MAX_CHARACTERS = 80;

/** A node of the printed tree: its lines, the first of which is the heading, and its children. */
interface Node {
  readonly lines: readonly string[];
  readonly below: readonly Node[];
}

/**
 * Formats a tree for people: states, processes, mailboxes, budgets, last exits, and the options that are not defaults, each with
 * its origin. Times are in UTC.
 *
 * @param inspection the result of `inspect()`, or a part of it
 * @param options what to show
 * @param options.options whether to show default options, too. Default `false`
 * @example
 * console.log(formatInspection(supervisor.inspect()));
 */
export function formatInspection(
  inspection: SupervisorInspection | Inspection,
  { options: all = false }: { readonly options?: boolean } = {},
): string {
  return printable(render(nodeOf(inspection, all)).join("\n"));
}

function render({ lines: [heading = "", ...lines], below }: Node): string[] {
  const bar = below.length > 0 ? "│ " : "  ";
  const own = [heading, ...lines.map((line) => `${bar}  ${line}`)];
  return own.concat(
    below.flatMap((node, index) => {
      const last = index === below.length - 1;
      const [head = "", ...rest] = render(node);
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
      const restarted = restarts === undefined ? "" : `  restarts ${restarts}`;
      const heading = `supervisor ${JSON.stringify(name)}  ${state}  ${strategy}${restarted}`;
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
  const max = options["capacity.maxProcesses"]?.value;
  const use = [
    `processes ${processes}${max === undefined ? "" : ` of ${max}`}`,
    `waiting ${waiting}`,
    `turns ${turns.running} running, ${turns.waiting} waiting`,
    `spares ${spares.ready}`,
    ...(budget === undefined ? [] : [describeBudget(budget)]),
  ];
  const fault = journal.fault === undefined ? "" : `  cannot be written: ${journal.fault}`;
  const location = journal.location === undefined ? [] : [`journal ${journal.location}${fault}`];
  return [use.join("  "), ...location, ...describeOptions(options, all)];
}

function describeStatus(status: SessionStatus, budget: BudgetStatus | undefined): string {
  const { state, pid, startedAt, memoryBytes, mailbox, tasks, restarts, waitingFor, retryAt } = status;
  return [
    state,
    ...(pid === undefined ? [] : [`pid ${pid}`]),
    ...(startedAt === undefined ? [] : [`since ${formatTime(startedAt)}`]),
    ...(memoryBytes === undefined ? [] : [`${Math.round(memoryBytes / 1e6)} MB`]),
    `mailbox ${mailbox}`,
    ...(tasks[0] === undefined ? [] : [`background tasks ${tasks.length}, since ${formatTime(tasks[0].since)}`]),
    `restarts ${restarts}`,
    ...(waitingFor === undefined ? [] : [`waits for ${waitingFor.for}${formatUntil(waitingFor.until)}`]),
    ...(retryAt === undefined ? [] : [`next start ${formatTime(retryAt)}`]),
    ...(budget === undefined ? [] : [describeBudget(budget)]),
  ].join("  ");
}

function describeBudget({ spentUsd, limitUsd, per }: BudgetStatus): string {
  return `spent $${spentUsd.toFixed(4)} of $${limitUsd}${per === "day" ? " a day" : ""}`;
}

function describeEnd({ at, message }: ChildEnd): string {
  return `exit ${formatTime(at)}: ${truncate(message)}`;
}

function describeExit({ at, class: of, message, pid }: ExitRecord): string {
  return `${formatTime(at)}${pid === undefined ? "" : `  pid ${pid}`}  ${of}: ${truncate(message)}`;
}

function describeOptions(options: EffectiveOptions, all: boolean): string[] {
  return Object.entries(options).flatMap(([option, { value, origin }]) => {
    if (origin.from === "built_in" && !all) return [];
    return [`${option} = ${truncate(formatValue(option, value))}  (${describeOrigin(origin)})`];
  });
}

/** Formats durations, which are the numeric options with these names, in their usual form. */
function formatValue(option: string, value: unknown): string {
  const isDuration = option.endsWith("imeout") || option === "shutdown" || option === "maxAge";
  return isDuration && typeof value === "number" ? formatDuration(value) : (JSON.stringify(value) ?? String(value));
}

function formatUntil(at: number | undefined): string {
  return at === undefined ? "" : ` until ${formatTime(at)}`;
}

function formatTime(at: number): string {
  return new Date(at).toISOString();
}

function truncate(text: string): string {
  const line = text.replaceAll(/\s+/g, " ");
  return line.length > MAX_CHARACTERS ? `${line.slice(0, MAX_CHARACTERS - 1)}…` : line;
}

import type { Json } from "../../wire/json.ts";
import type { SessionInspection } from "../../wire/session-inspection.ts";
import type { SessionStatus } from "../../wire/session-status.ts";
import { plain } from "./shown-name.ts";

/** An option in effect, as the page shows it. */
export interface OptionRow {
  readonly name: string;
  readonly value: string;
  /** Where the value comes from: `template "support"`. */
  readonly origin: string;
  /** Whether nobody set it. */
  readonly isDefault: boolean;
}

/** Returns the options by name: first those that somebody set. */
export function optionRows({ options = {} }: Pick<SessionInspection, "options">): OptionRow[] {
  const rows = Object.entries(options).map(([name, { value, origin }]): OptionRow => {
    return {
      name,
      value: valueText(name, value),
      origin: originText(origin),
      isDefault: fieldOf(origin, "from") === "built_in",
    };
  });
  return rows.sort((one, other) => Number(one.isDefault) - Number(other.isDefault) || (one.name < other.name ? -1 : 1));
}

/** Options that are durations: the server tells them in milliseconds. */
const DURATIONS = /(?:Timeout|^timeout|^maxAge)$/;

/** Returns a value for people: `2 min`, `Read, Grep`, or JSON. */
export function valueText(option: string, value: Json | undefined): string {
  if (typeof value === "string") return plain(value);
  if (typeof value === "number" && DURATIONS.test(option)) return durationText(value);
  if (Array.isArray(value) && value.every((one) => typeof one === "string"))
    return value.length === 0 ? "none" : value.map(plain).join(", ");
  return plain(JSON.stringify(value) ?? "");
}

const UNITS = [
  [86_400_000, "d"],
  [3_600_000, "h"],
  [60_000, "min"],
  [1_000, "s"],
] as const;

/** Returns a duration in its largest whole unit: `90 s`, `2 min`. */
export function durationText(ms: number): string {
  const unit = ms === 0 ? undefined : UNITS.find(([size]) => ms % size === 0);
  return unit === undefined ? `${ms} ms` : `${ms / unit[0]} ${unit[1]}`;
}

const OWNERS: Readonly<Record<string, string>> = {
  session: "session",
  template: "template",
  pool: "pool",
  supervisor: "supervisor",
  process: "process",
  call: "set by a call",
  conversation: "entered in the conversation",
  built_in: "built in",
};

/** Returns where a value comes from, in the words of the library's `formatInspection`. */
export function originText(origin: Json): string {
  const from = fieldOf(origin, "from") ?? "";
  if (from === "environment") return plain(`variable ${fieldOf(origin, "variable") ?? ""}`);
  const name = fieldOf(origin, "name");
  const owner = OWNERS[from] ?? from;
  const configured =
    typeof origin === "object" && origin !== null && "configured" in origin ? origin["configured"] : undefined;
  const words = name === undefined ? owner : `${owner} ${JSON.stringify(name)}`;
  return plain(configured === undefined ? words : `${words}, ${locationText(configured)}`);
}

function locationText(location: Json): string {
  const layer = fieldOf(location, "layer");
  const variable = fieldOf(location, "variable");
  const file = fieldOf(location, "file") ?? "";
  const place = layer === undefined ? file : `${file} (${layer})`;
  return variable === undefined ? place : `${place}, variable ${variable}`;
}

function fieldOf(value: Json | undefined, name: string): string | undefined {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
  const field: unknown = Object.entries(value).find(([key]) => key === name)?.[1];
  return typeof field === "string" ? field : undefined;
}

/** An MCP server of a session. */
export interface ServerRow {
  readonly name: string;
  /** That of Claude Code, `ended`, or `unknown` without a process. */
  readonly status: string;
  readonly reason?: string | undefined;
}

/** Returns the MCP servers: those of the process, or without one those of the options, whose state nobody knows. */
export function serverRows(
  { options = {} }: Pick<SessionInspection, "options">,
  status: Pick<SessionStatus, "pid" | "mcpServers"> | undefined,
): ServerRow[] {
  const rows = new Map<string, ServerRow>();
  const given = options["mcpServers"]?.value;
  for (const name of Array.isArray(given) ? given : []) {
    if (typeof name === "string") rows.set(name, { name, status: status?.pid === undefined ? "unknown" : "pending" });
  }
  if (status?.pid !== undefined) for (const server of status.mcpServers ?? []) rows.set(server.name, server);
  return [...rows.values()];
}

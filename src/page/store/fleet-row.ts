import type { FoundState, SessionInfo } from "../../wire/session.ts";
import { keyOf } from "./name.ts";
import { plain, shownName } from "./shown-name.ts";

/** A session as the list shows, finds and sorts it. */
export interface FleetRow {
  readonly key: string;
  readonly info: SessionInfo;
  readonly label: string;
  /** In lower case: name, title and labels. */
  readonly searched: string;
  /** Orders by name, numbers by value. */
  readonly sorted: string;
}

/** Returns the row of a session. */
export function rowOf(info: SessionInfo): FleetRow {
  const label = shownName(info.name);
  const labels = Object.entries(info.labels ?? {}).map(([name, value]) => `${name}=${value}`);
  const searched = [label, plain(info.title ?? ""), ...labels].join("\n").toLowerCase();
  const sorted = label.toLowerCase().replace(/\d+/g, (digits) => digits.padStart(12, "0"));
  return { key: keyOf(info.name), info, label, searched, sorted };
}

/** States, the one that a person should see first in front. */
export const STATES: readonly FoundState[] = [
  "quarantined",
  "waiting",
  "restarting",
  "starting",
  "busy",
  "idle",
  "hibernated",
  "stopped",
  "stored",
  "archived",
];

/** Returns what the session waits for, or why it does not work, in a few words; undefined if there is nothing to say. */
export function reasonOf({ state, status }: SessionInfo, time: (at: number) => string): string | undefined {
  const waits = status?.waitingFor;
  if (waits !== undefined) return waitingText(waits, time);
  if (state === "quarantined" || state === "restarting") {
    const exit = status?.lastExit === undefined ? "" : plain(status.lastExit.message);
    if (status?.retryAt === undefined) return exit || undefined;
    return `tries again ${time(status.retryAt)}${exit === "" ? "" : `: ${exit}`}`;
  }
  const [fault] = status?.faults.slice(-1) ?? [];
  return fault === undefined ? undefined : plain(fault.message);
}

type Waits = NonNullable<NonNullable<SessionInfo["status"]>["waitingFor"]>;

const FOR: Readonly<Record<Waits["for"], string>> = {
  quota: "usage limit",
  billing: "billing",
  overload: "the API is overloaded",
  approval: "approval",
  capacity: "a free process",
};

function waitingText({ for: what, until, approvals }: Waits, time: (at: number) => string): string {
  if (what === "approval" && (approvals ?? 1) > 1) return `${approvals} approvals`;
  const text = FOR[what];
  return until === undefined || what === "approval" ? text : `${text}, until ${time(until)}`;
}

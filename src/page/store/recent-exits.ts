import type { SessionInfo } from "../../wire/session.ts";
import type { SupervisorEvent } from "../../wire/supervisor-event.ts";
import { keyOf, type Name } from "./name.ts";

/** A restart or a quarantine. */
export interface RecentExit {
  readonly kind: "restart" | "quarantine";
  readonly session: Name;
  readonly at: number;
  readonly message: string;
}

const HOUR_MS = 3_600_000;

/** The most entries that are kept. */
const MOST = 1_000;

/** Returns the restart or the quarantine that an event tells of, if any. */
export function exitOfEvent(event: SupervisorEvent): RecentExit | undefined {
  if (event.type === "session:restart") {
    return { kind: "restart", session: event.session, at: event.exit.at, message: event.exit.message };
  }
  if (event.type !== "session:quarantine") return undefined;
  const last = event.lastExits.at(-1);
  return { kind: "quarantine", session: event.session, at: last?.at ?? event.at, message: last?.message ?? "" };
}

/** Returns what a session's status tells of its last exit: the API keeps no older ones. */
export function exitOfStatus({ name, state, status }: SessionInfo): RecentExit | undefined {
  const exit = status?.lastExit;
  if (exit === undefined || exit.class === "done") return undefined;
  const { at, message } = exit;
  if (state === "quarantined") return { kind: "quarantine", session: name, at, message };
  return (status?.restarts ?? 0) > 0 ? { kind: "restart", session: name, at, message } : undefined;
}

/** Returns the exits of the last hour, the newest first, each once. */
export function lastHour(exits: readonly RecentExit[], now: number): RecentExit[] {
  const known = new Map<string, RecentExit>();
  for (const exit of exits) {
    if (exit.at < now - HOUR_MS) continue;
    const key = `${exit.kind} ${exit.at} ${keyOf(exit.session)}`;
    if (!known.has(key)) known.set(key, exit);
  }
  return [...known.values()].sort((one, other) => other.at - one.at).slice(0, MOST);
}

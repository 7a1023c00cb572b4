import { readFileSync, readlinkSync } from "node:fs";

/** The variable by which everything that descends from an activation is known. Children inherit it. */
export const MARKER: string = "CASTELLAN_ACTIVATION";

/** Who owns an activation: a host process, told apart from another one that gets the same pid later, or elsewhere. */
export interface Owner {
  /** The pid namespace; a container has its own. Pids mean nothing outside of theirs. */
  readonly namespace: string;
  readonly pid: number;
  /** When the process was started, in clock ticks since the machine was. */
  readonly startTime: string;
}

/** The value of {@link MARKER} for an activation of `owner`. */
export function formatMarker(owner: Owner, activationId: string): string {
  return [owner.namespace, owner.pid, owner.startTime, activationId].join("/");
}

/** The owner in a value of {@link MARKER}; `undefined` if it is none of ours. */
export function ownerOf(marker: string): Owner | undefined {
  const [namespace, pid, startTime, activation, ...rest] = marker.split("/");
  if (!namespace || !startTime || !activation || rest.length > 0) return undefined;
  return /^\d+$/.test(pid ?? "") ? { namespace, pid: Number(pid), startTime } : undefined;
}

/** Whether the owner is still running; only its own pid namespace can tell. */
export function isAlive(owner: Owner): boolean {
  return startTimeOf(owner.pid) === owner.startTime;
}

let self: Owner | undefined;

/** This process as an owner. */
export function thisOwner(): Owner {
  self ??= { namespace: thisNamespace(), pid: process.pid, startTime: startTimeOf(process.pid) ?? "unknown" };
  return self;
}

function thisNamespace(): string {
  try {
    return readlinkSync("/proc/self/ns/pid").replaceAll("/", "");
  } catch {
    return process.platform;
  }
}

/** `undefined` if there is no such process, if it is dead and only not cleared away yet, or if there is no /proc to ask. */
function startTimeOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    // The name of the program stands second, in parentheses, and may hold anything; the fields after it are plain.
    const [state, ...fields] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return state === "Z" || state === "X" ? undefined : fields[18];
  } catch {
    return undefined;
  }
}

import { readFileSync, readlinkSync } from "node:fs";
import { isGone } from "./passing-fault.ts";

/** The environment variable that identifies all descendants of an activation. Child processes inherit it. */
export const MARKER: string = "CASTELLAN_ACTIVATION";

/** The owner of an activation: a host process, distinguishable from any other with the same pid, later or elsewhere. */
export interface Owner {
  /** The pid namespace. A container has its own, and pids only mean something within theirs. */
  readonly namespace: string;
  readonly pid: number;
  /** When the process started, in clock ticks since boot. */
  readonly startTime: string;
}

/** Formats the value of {@link MARKER} for an activation of `owner`. */
export function formatMarker(owner: Owner, activationId: string): string {
  return [owner.namespace, owner.pid, owner.startTime, activationId].join("/");
}

/** Returns the owner in a value of {@link MARKER}; `undefined` if the value is not Castellan's. */
export function ownerOf(marker: string): Owner | undefined {
  const [namespace, pid, startTime, activation, ...rest] = marker.split("/");
  if (!namespace || !startTime || !activation || rest.length > 0) return undefined;
  return /^\d+$/.test(pid ?? "") ? { namespace, pid: Number(pid), startTime } : undefined;
}

/** Whether the owner may still be running: only a proof counts as its death. Only its own pid namespace can tell. */
export function isAlive({ pid, startTime }: Owner): boolean {
  try {
    const found = startTimeOf(pid);
    return found !== undefined && (startTime === UNKNOWN || found === startTime);
  } catch {
    // For example without free file descriptors.
    return true;
  }
}

/** The start time of an owner that could not read it. */
const UNKNOWN = "unknown";

function thisNamespace(): string {
  try {
    return readlinkSync("/proc/self/ns/pid").replaceAll("/", "");
  } catch {
    return process.platform;
  }
}

/**
 * Returns the start time; `undefined` if the process does not exist or is a zombie, or there is no /proc.
 *
 * @throws the system's error if it cannot be read
 */
function startTimeOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    // The second field, in parentheses, is the program's name and may contain anything; the later fields are plain.
    const [state, ...fields] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return state === "Z" || state === "X" ? undefined : fields[18];
  } catch (error) {
    if (isGone(error)) return undefined;
    throw error;
  }
}

function readThisOwner(): Owner {
  const { pid } = process;
  const namespace = thisNamespace();
  try {
    return { namespace, pid, startTime: startTimeOf(pid) ?? UNKNOWN };
  } catch {
    return { namespace, pid, startTime: UNKNOWN };
  }
}

/* Read at once: later there may be no free file descriptor, and every process of this host would seem to be an orphan. */
const self = readThisOwner();

/** Returns this process as an owner. */
export function thisOwner(): Owner {
  return self;
}

import { totalmem } from "node:os";
import type { Finding } from "./finding.ts";

/**
 * Below this much memory, the garbage that Node.js lets accumulate takes the place of a Claude Code process: up to 110 MB of new objects,
 * and more of old ones.
 */
const SMALL_BYTES = 4 * 1024 ** 3;

/** Flags that bound it. */
const BOUNDS = ["--max-semi-space-size", "--max_semi_space_size", "--optimize-for-size", "--optimize_for_size"];

/** How a host on a small machine should be started. */
const ADVICE = "NODE_OPTIONS=--max-semi-space-size=8";

/**
 * Checks whether a host on this machine should bound the garbage of Node.js.
 *
 * @param bytes the memory that the host and its processes may use
 * @param flags the flags that Node.js is started with
 */
export function hostMemory(bytes: number, flags: readonly string[]): Finding {
  const subject = "memory of the host";
  const size = `${(bytes / 1024 ** 3).toFixed(1)} GB`;
  const isBounded = flags.some((flag) => BOUNDS.some((bound) => flag === bound || flag.startsWith(`${bound}=`)));
  if (isBounded) return { subject, verdict: "ok", message: `${size}; Node.js has a bound for new objects` };
  if (bytes >= SMALL_BYTES) return { subject, verdict: "ok", message: size };
  const message = `${size}, of which Node.js lets 110 MB fill with new objects before it collects them; start the host with \`${ADVICE}\``;
  return { subject, verdict: "warning", message };
}

/** The memory that this process may use: of its container, or of the machine. In bytes. */
export function memoryHere(): number {
  // A process without a limit has a number beyond any memory, or zero.
  const limit = process.constrainedMemory();
  return limit > 0 ? Math.min(limit, totalmem()) : totalmem();
}

/** The flags that Node.js was started with. */
export function nodeFlags(): readonly string[] {
  return [...process.execArgv, ...(process.env["NODE_OPTIONS"] ?? "").split(/\s+/)];
}

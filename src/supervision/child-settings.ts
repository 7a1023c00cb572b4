import { CastellanError } from "../errors.ts";
import type { ChildSpec, ChildType, Restart, Shutdown } from "./child-spec.ts";
import type { AutoShutdown } from "./supervisor-spec.ts";

/** A child spec with every field decided. */
export interface ChildSettings {
  readonly id: string;
  readonly start: ChildSpec["start"];
  readonly restart: Restart;
  readonly shutdown: Shutdown;
  readonly type: ChildType;
  readonly significant: boolean;
}

const WORKER_SHUTDOWN = 5_000;

/**
 * Fills in the defaults of a child spec. Throws `INVALID_OPTIONS`, naming the field, what was given and what is
 * allowed.
 */
export function childSettings(spec: ChildSpec, autoShutdown: AutoShutdown): ChildSettings {
  const { id, restart = "permanent", type = "worker", significant = false } = spec;
  const shutdown = spec.shutdown ?? (type === "supervisor" ? "infinity" : WORKER_SHUTDOWN);

  const check = (valid: boolean, field: string, given: unknown, allowed: string): void => {
    if (valid) return;
    const message = `child ${JSON.stringify(id)}: ${field} is ${JSON.stringify(given)}, it must be ${allowed}`;
    throw new CastellanError("INVALID_OPTIONS", message, { details: { problems: [{ field, message }] } });
  };
  check(typeof id === "string" && id !== "", "id", id, "a string that is not empty");
  check(typeof spec.start === "function", "start", typeof spec.start, "a function");
  check(
    ["permanent", "transient", "temporary"].includes(restart),
    "restart",
    restart,
    "permanent, transient or temporary",
  );
  check(type === "worker" || type === "supervisor", "type", type, "worker or supervisor");
  check(isShutdown(shutdown), "shutdown", shutdown, "brutal_kill, infinity, or milliseconds from 0 up");
  check(typeof significant === "boolean", "significant", significant, "true or false");
  check(!significant || restart !== "permanent", "significant", significant, "false for a permanent child");
  check(!significant || autoShutdown !== "never", "significant", significant, "false while autoShutdown is never");

  return { id, start: (context) => spec.start(context), restart, shutdown, type, significant };
}

function isShutdown(value: Shutdown): boolean {
  return value === "brutal_kill" || value === "infinity" || (Number.isFinite(value) && value >= 0);
}

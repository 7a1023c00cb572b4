import type { ChildExit, Disposition } from "./child-spec.ts";

/**
 * The exit of a child whose start threw, or whose `exited` rejected. A `disposition` on what was thrown is honoured.
 */
export function exitFromThrown(thrown: unknown): ChildExit {
  const disposition = dispositionOf(thrown);
  return { reason: "abnormal", cause: thrown, ...(disposition === undefined ? {} : { disposition }) };
}

/** Takes what `exited` resolved with. Anything but an exit, from code without types, is an abnormal one. */
export function exitFromResolved(value: unknown): ChildExit {
  return isExit(value) ? value : { reason: "abnormal", cause: value };
}

function dispositionOf(thrown: unknown): Disposition | undefined {
  if (typeof thrown !== "object" || thrown === null || !("disposition" in thrown)) return undefined;
  const { disposition } = thrown;
  return disposition === "count" || disposition === "free" || disposition === "quarantine" ? disposition : undefined;
}

function isExit(value: unknown): value is ChildExit {
  if (typeof value !== "object" || value === null || !("reason" in value)) return false;
  return value.reason === "normal" || value.reason === "shutdown" || value.reason === "abnormal";
}

/** The cause of an exit in words. */
export function reasonOf(cause: unknown): string {
  if (typeof cause === "object" && cause !== null && "message" in cause) return String(cause.message);
  return cause === undefined ? "no reason given" : String(cause);
}

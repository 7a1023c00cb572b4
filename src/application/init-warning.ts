import { firstProcessIsNode, RUN_AN_INIT } from "../claude/orphan-reaping.ts";
import type { Logger } from "./options/supervisor-options.ts";

let warned = false;

/** Warns, once in the life of this process, if nothing clears away what Claude's commands leave behind when they end. */
export function warnWithoutInit(logger: Logger | undefined): void {
  if (warned || !firstProcessIsNode()) return;
  warned = true;
  const message = `Node.js is the first process of this container and does not clear orphans away, which pile up as zombies; ${RUN_AN_INIT}.`;
  if (logger === undefined) process.emitWarning(message, { type: "CastellanWarning", code: "NO_INIT" });
  else logger.warn(message);
}

import type { Logger } from "../../application/options/supervisor-options.ts";
import { printable } from "../../printable.ts";

/** One answered request. */
export interface AccessRecord {
  readonly requestId: string;
  readonly method: string;
  readonly path: string;
  readonly status: number;
  readonly caller: string | undefined;
  /** From the request to the head of its answer, in milliseconds. */
  readonly durationMs: number;
}

/**
 * Formats a request for the access log: no query, header or body, so no key and no prompt. The path may be that of a stranger's request,
 * and is cut.
 */
export function accessLine({ requestId, method, path, status, caller, durationMs }: AccessRecord): string {
  const shown = path.length > LONGEST_PATH ? `${path.slice(0, LONGEST_PATH)}…` : path;
  return printable(
    `${method} ${shown} ${status} ${Math.round(durationMs)}ms caller=${caller ?? "-"} request=${requestId}`,
  );
}

const LONGEST_PATH = 300;

/** Logs an error that a request met and its caller does not see. */
export function logFailure(logger: Logger | undefined, requestId: string, error: unknown): void {
  const words = error instanceof Error ? (error.stack ?? error.message) : String(error);
  logger?.warn(`request ${requestId} failed: ${printable(words)}`);
}

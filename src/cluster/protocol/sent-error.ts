import { CastellanError, type ErrorDetails } from "../../errors.ts";
import { jsonOf } from "../../session/streams/turn-end.ts";
import type { SentError } from "./frames.ts";

/** An error as it is sent. What is none of ours keeps its words. */
export function sentErrorOf(error: unknown): SentError {
  if (CastellanError.is(error)) {
    const { code, message, details } = error;
    return { code, message, details: jsonOf(details) };
  }
  const message = error instanceof Error ? error.message : String(error);
  return { code: "CONTROL_FAILED", message, details: {} };
}

/** The error that was sent. */
export function errorOf({ code, message, details }: SentError): CastellanError {
  // What was sent came out of an error of this code, whichever it was.
  return new CastellanError(code as "TURN_CANCELLED", message, { details: details as ErrorDetails["TURN_CANCELLED"] });
}

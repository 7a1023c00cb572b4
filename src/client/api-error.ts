import type { JsonObject } from "../wire/json.ts";

/** Facts of an error beyond its code and message. */
interface ApiErrorInit {
  readonly status: number;
  readonly retryable?: boolean;
  readonly details?: JsonObject | undefined;
  readonly requestId?: string | undefined;
  readonly retryAfterMs?: number | undefined;
  readonly cause?: unknown;
}

/**
 * A request that failed, or a turn that did not complete.
 *
 * @example
 * try {
 *   await client.session("reviewer").query(source);
 * } catch (error) {
 *   if (error instanceof CastellanApiError && error.code === "BUDGET_EXCEEDED") pause();
 *   else throw error;
 * }
 */
export class CastellanApiError extends Error {
  override readonly name: string = "CastellanApiError";
  /**
   * A code of Castellan, such as `SESSION_NOT_FOUND`; of the server, such as `UNAUTHENTICATED`; or of this client: `SERVER_UNREACHABLE`,
   * `REQUEST_TIMEOUT`, and `INVALID_ANSWER` for an answer that is not Castellan's.
   */
  readonly code: string;
  /** The status of the answer; 0 if there was none, and for a turn that did not complete. */
  readonly status: number;
  /** Whether the same request may succeed later. Whether it has taken effect is another question. */
  readonly retryable: boolean;
  /** Facts by code, such as `problems` of `INVALID_OPTIONS`. */
  readonly details: JsonObject;
  /** The id of the request, by which the server's log has it. */
  readonly requestId: string | undefined;
  /** How long the server asks to wait before a retry, in milliseconds. */
  readonly retryAfterMs: number | undefined;

  constructor(code: string, message: string, init: ApiErrorInit) {
    super(message, init.cause === undefined ? undefined : { cause: init.cause });
    this.code = code;
    this.status = init.status;
    this.retryable = init.retryable ?? false;
    this.details = init.details ?? {};
    this.requestId = init.requestId;
    this.retryAfterMs = init.retryAfterMs;
  }
}

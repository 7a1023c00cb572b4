import type { OptionProblem } from "../../errors.ts";
import type { HttpError } from "./http-error.ts";

/** An error in the form of Anthropic's API. */
export interface AnthropicErrorBody {
  readonly type: "error";
  readonly error: {
    readonly type: HttpError["type"];
    readonly message: string;
    readonly details: {
      /** A code of Castellan, of the server, or `INTERNAL`. */
      readonly error_code: HttpError["code"];
      readonly problems?: readonly OptionProblem[];
    };
  };
  readonly request_id: string;
}

/** Returns the body of an error under `/anthropic`. */
export function anthropicErrorBody(error: HttpError, requestId: string): AnthropicErrorBody {
  const { type, message, code, problems } = error;
  const details = { error_code: code, ...(problems !== undefined && { problems }) };
  return { type: "error", error: { type, message, details }, request_id: requestId };
}

/** An error in the form of Castellan's API. The id of the request is in its header. */
export interface NativeErrorBody {
  readonly error: {
    readonly code: HttpError["code"];
    readonly message: string;
    readonly details?: { readonly problems: readonly OptionProblem[] };
  };
}

/** Returns the body of an error under `/castellan`, and of one outside of both APIs. */
export function nativeErrorBody({ code, message, problems }: HttpError): NativeErrorBody {
  return { error: { code, message, ...(problems !== undefined && { details: { problems } }) } };
}

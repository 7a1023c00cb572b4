import type { CastellanError } from "../errors.ts";
import { didYouMean, nearMisses } from "../names.ts";
import { invalidOptions } from "../session/options/validation.ts";

/** Returns the error of an endpoint that does not exist. */
export function unknownWebhook(id: string, known: readonly string[]): CastellanError<"INVALID_OPTIONS"> {
  const message = `there is no webhook ${JSON.stringify(id)}${didYouMean(nearMisses(id, known))}`;
  return invalidOptions("webhook", [{ field: "id", message }]);
}

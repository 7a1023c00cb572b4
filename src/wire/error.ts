import { z } from "zod";
import { type JsonObject, jsonObjectSchema } from "./json.ts";

/** Why something failed. */
export interface WireError {
  /** A stable code of Castellan, of the server, or `INTERNAL`. Codes may be added. */
  readonly code: string;
  /** One or two sentences for people. */
  readonly message: string;
  /** Facts by code, such as `problems` of `INVALID_OPTIONS`. */
  readonly details?: JsonObject | undefined;
}

/** The body of an answer with a status of 400 or above. */
export interface ErrorAnswer {
  readonly error: WireError;
}

export const errorSchema: z.ZodType<WireError> = z
  .object({
    code: z.string().describe("Stable. Codes may be added."),
    message: z.string().describe("One or two sentences for people."),
    details: jsonObjectSchema.optional().describe("Facts by code, such as `problems` of `INVALID_OPTIONS`."),
  })
  .meta({ id: "Error" });

export const errorAnswerSchema: z.ZodType<ErrorAnswer> = z.object({ error: errorSchema }).meta({ id: "ErrorAnswer" });

import { z } from "zod";

/** Any JSON value. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json };

/** A JSON object. */
export interface JsonObject {
  readonly [name: string]: Json;
}

export const jsonSchema: z.ZodType<Json> = z
  .custom<Json>((value) => value !== undefined)
  .meta({
    description: "Any JSON value.",
    type: ["object", "array", "string", "number", "boolean", "null"],
  });

export const jsonObjectSchema: z.ZodType<JsonObject> = z
  .custom<JsonObject>((value) => typeof value === "object" && value !== null && !Array.isArray(value))
  .meta({ type: "object", description: "Any JSON object." });

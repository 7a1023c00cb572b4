import { z } from "zod";

/** The schema of structured answers: a zod schema or a JSON Schema. */
export type OutputSchema<Structured = unknown> = z.ZodType<Structured> | Readonly<Record<string, unknown>>;

/** Whether `value` is a zod 4 schema, from any copy of zod. */
export function isZodSchema(value: unknown): value is z.ZodType {
  return typeof value === "object" && value !== null && "_zod" in value && "safeParse" in value;
}

/**
 * Converts the schema's input type to JSON Schema, because Claude writes what the schema parses. Emits draft 7: Claude
 * Code refuses to start with a newer draft.
 *
 * @throws Error if JSON Schema cannot express it
 */
export function jsonSchemaOf(schema: OutputSchema): Record<string, unknown> {
  if (isZodSchema(schema)) return { ...z.toJSONSchema(schema, { target: "draft-7", io: "input" }) };
  // Without this check, a schema of another library or an older zod would pass for a JSON Schema that allows
  // everything.
  if ("~standard" in schema || "_def" in schema) throw new Error("it is a schema, but not one of zod 4");
  return { ...schema };
}

/**
 * Returns the zod schema that parses answers. Claude Code validates them too, but the application receives what its own
 * schema returns, including transforms.
 *
 * @throws Error if zod cannot convert the JSON Schema
 */
export function readerOf(schema: OutputSchema): z.ZodType {
  return isZodSchema(schema) ? schema : z.fromJSONSchema({ ...schema });
}

/** A parsed answer, or the reason why it does not match the schema. */
export type ReadOutput = { readonly structured: unknown } | { readonly problem: string };

/** Parses the structured output of an answer. Never throws, whatever the application's schema does. */
export function readOutput(output: unknown, reader: z.ZodType | undefined): ReadOutput {
  if (reader === undefined) return { structured: output };
  if (output === undefined) return { problem: "it is no data at all" };
  try {
    const parsed = reader.safeParse(output);
    return parsed.success ? { structured: parsed.data } : { problem: z.prettifyError(parsed.error) };
  } catch (error) {
    return { problem: `its schema failed: ${error instanceof Error ? error.message : String(error)}` };
  }
}

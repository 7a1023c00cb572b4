import { z } from "zod";

/** The form of an answer that is data: a schema of zod's, or a JSON Schema. */
export type OutputSchema<Structured = unknown> = z.ZodType<Structured> | Readonly<Record<string, unknown>>;

/** Whether `value` is a schema of zod 4, be it of another copy of it than this package's. */
export function isZodSchema(value: unknown): value is z.ZodType {
  return typeof value === "object" && value !== null && "_zod" in value && "safeParse" in value;
}

/**
 * The schema as JSON Schema, of what goes into it: Claude writes what the schema reads. Claude Code knows draft 7, and
 * refuses to start with a newer one.
 *
 * @throws Error if it cannot be written as JSON Schema
 */
export function jsonSchemaOf(schema: OutputSchema): Record<string, unknown> {
  if (isZodSchema(schema)) return { ...z.toJSONSchema(schema, { target: "draft-7", io: "input" }) };
  // A schema of another library, or of an older zod, would otherwise pass for a JSON Schema that allows everything.
  if ("~standard" in schema || "_def" in schema) throw new Error("it is a schema, but not one of zod 4");
  return { ...schema };
}

/**
 * What an answer is read with. Claude Code checks it too; but what reaches the application is what the application's own
 * schema makes of it.
 *
 * @throws Error if it is a JSON Schema that zod cannot read
 */
export function readerOf(schema: OutputSchema): z.ZodType {
  return isZodSchema(schema) ? schema : z.fromJSONSchema({ ...schema });
}

/** An answer as the schema reads it, or what is wrong with it. */
export type ReadOutput = { readonly structured: unknown } | { readonly problem: string };

/** Reads the data of an answer. Never throws, whatever the application's schema does. */
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

import { z } from "zod";
import { nameProblem, type SessionName } from "../names.ts";

/** The name of a session that exists once in a cluster, without the library's first part `"global"`. */
export interface GlobalSessionName {
  readonly global: SessionName;
}

/**
 * The name of a session: a string or a tuple for a session of the server's own supervisor, `{ global: … }` for one of its cluster. In
 * paths and queries it is JSON.
 */
export type WireName = SessionName | GlobalSessionName;

const NAME = "a name: a string, or a tuple that begins with one";

export const localNameSchema: z.ZodType<SessionName> = z
  .union([z.string(), z.array(z.union([z.string(), z.number()]))])
  .refine((name) => nameProblem(name) === undefined, { error: `expected ${NAME}` })
  // The check has just established it.
  .transform((name) => name as SessionName)
  .meta({ id: "LocalName", description: "A string, or a tuple of strings and numbers that begins with a string." });

const globalSchema = z.strictObject({ global: localNameSchema }).meta({
  id: "GlobalName",
  description: "The name of a session that exists once in a cluster.",
});

export const nameSchema: z.ZodType<WireName> = z
  .union([localNameSchema, globalSchema], { error: `expected ${NAME}, or an object \`{ global: name }\`` })
  .meta({ id: "SessionName", description: "The name of a session of this supervisor, or of a global one." });

/** Whether a name is global. */
export function isGlobal(name: WireName): name is GlobalSessionName {
  return typeof name === "object" && !Array.isArray(name);
}

/** Parses a name in a path or a query, where it is JSON. */
function inText<Name>(schema: z.ZodType<Name>, description: string): z.ZodType<Name> {
  return z
    .string()
    .transform((text, context) => {
      try {
        return JSON.parse(text) as unknown;
      } catch {
        const message = 'expected a name as JSON, such as "assistant" with its quotes, or ["user",42]';
        context.addIssue({ code: "custom", message });
        return z.NEVER;
      }
    })
    .pipe(schema)
    .meta({ type: "string", description });
}

/** A name of {@link nameSchema} in a path. */
export const nameInPathSchema: z.ZodType<WireName> = inText(
  nameSchema,
  'As JSON, percent-encoded: `"assistant"`, `["user",42]`, or `{"global":"assistant"}` for a global session.',
);

/** A name of {@link localNameSchema} in a path or a query. */
export const localNameInTextSchema: z.ZodType<SessionName> = inText(
  localNameSchema,
  'As JSON: `"assistant"` or `["user",42]`.',
);

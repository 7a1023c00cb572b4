import { z } from "zod";

/** Parses `label=plan:paid`, which may be repeated. */
export const labelsInQuery: z.ZodType<Record<string, string>> = z
  .array(z.string().regex(/^[^:]+:/, 'expected a label and its value: "plan:paid"'))
  .transform((pairs) =>
    Object.fromEntries(pairs.map((pair) => [pair.slice(0, pair.indexOf(":")), pair.slice(pair.indexOf(":") + 1)])),
  )
  .meta({
    type: "array",
    items: { type: "string" },
    description: "Only sessions with all of these labels, each as `plan:paid`.",
  });

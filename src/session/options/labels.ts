import { z } from "zod";

/** The labels of a session. */
export type Labels = Readonly<Record<string, string>>;

const MOST_LABELS = 16;
const LONGEST_VALUE = 200;

/** No control characters and no lone surrogates. */
const PRINTABLE = /^[^\p{Cc}\p{Cs}]+$/u;

/** Parses a title, or the value of a label. */
export const labelValueSchema: z.ZodType<string> = z
  .string()
  .min(1)
  .max(LONGEST_VALUE)
  .regex(PRINTABLE, "expected text without control characters");

/** Parses the name of a label. */
export const labelNameSchema: z.ZodType<string, string> = z
  .string()
  .regex(
    /^[A-Za-z0-9][A-Za-z0-9_./-]{0,62}$/,
    "expected up to 63 letters, digits, `_`, `-`, `.` and `/`, the first a letter or digit",
  );

/** Parses {@link Labels}. */
export const labelsSchema: z.ZodType<Labels> = z
  .record(labelNameSchema, labelValueSchema)
  .refine(isBounded, `expected at most ${MOST_LABELS} labels`);

/** Whether there are not too many labels. */
export function isBounded(labels: Labels): boolean {
  return Object.keys(labels).length <= MOST_LABELS;
}

import { z } from "zod";
import { MEMORY_FORMS, parseMemory } from "../../capacity/memory-size.ts";
import { DURATION_FORMS, parseDuration } from "../../duration.ts";
import { CastellanError, type OptionProblem } from "../../errors.ts";
import { didYouMean, nameProblem, nearMisses, type SessionName } from "../../names.ts";

/** Options whose values never appear in an error. */
const SECRET =
  /key|token(?!s)|secret|password|env|header|extraArgs|executableArgs|mcpServers|agents|managedSettings|\bsettings\b|plugins|sandbox|toolConfig|journal$|sqlite|postgres|notifications|advertise|cluster$|^webhooks.*url$/i;

/** Parses a {@link Duration} to milliseconds. */
export const durationSchema: z.ZodType<number> = z.unknown().transform((value, context) => {
  const milliseconds = parseDuration(value);
  if (milliseconds !== undefined) return milliseconds;
  context.addIssue({ code: "custom", message: `expected a duration: ${DURATION_FORMS}`, input: value });
  return z.NEVER;
});

/** Parses a {@link MemorySize} to bytes. */
export const memorySchema: z.ZodType<number> = z.unknown().transform((value, context) => {
  const bytes = parseMemory(value);
  if (bytes !== undefined) return bytes;
  context.addIssue({ code: "custom", message: `expected a memory size: ${MEMORY_FORMS}`, input: value });
  return z.NEVER;
});

/** Parses a {@link Budget}. */
export const budgetSchema: z.ZodType<{ usd: number; per?: "day" | "ever" }> = z.strictObject({
  usd: z.number().positive(),
  per: z.enum(["day", "ever"]).exactOptional(),
});

/** Parses a {@link SessionName}. */
export const nameSchema: z.ZodType<SessionName> = z.custom<SessionName>((value) => nameProblem(value) === undefined, {
  error: ({ input }) => `expected a name: a string, or a tuple that begins with one; this is ${nameProblem(input)}`,
});

/**
 * Parses `input` with `schema`.
 *
 * @param what the validated object, for the message: `session "reviewer"`.
 * @param at the path of `input`, for the names of the fields: `children[2]`.
 * @throws CastellanError `INVALID_OPTIONS`
 */
export function validate<Output>(schema: z.ZodType<Output>, input: unknown, what: string, at = ""): Output {
  const parsed = schema.safeParse(input, { reportInput: true });
  if (parsed.success) return parsed.data;
  const known = schema instanceof z.ZodObject ? Object.keys(schema.shape) : [];
  throw invalidOptions(
    what,
    parsed.error.issues.flatMap((issue) => problemsOf(issue, known, at)),
  );
}

/** One mistake in a program that makes ten thousand children is in each of them. */
const MOST_LISTED = 20;

/** Returns the error that lists `problems`, the first of them in its message. */
export function invalidOptions(
  what: string,
  problems: readonly OptionProblem[],
  cause?: unknown,
): CastellanError<"INVALID_OPTIONS"> {
  const list = problems
    .slice(0, MOST_LISTED)
    .map(({ field, message }) => (field === "" ? message : `\`${field}\`: ${message}`));
  if (problems.length > MOST_LISTED) list.push(`and ${problems.length - MOST_LISTED} more, which \`details\` lists`);
  const [only = ""] = list;
  const message =
    list.length === 1
      ? `${what}: ${only}${only.endsWith("?") ? "" : "."}`
      : `${what}:\n${list.map((line) => `  - ${line}`).join("\n")}`;
  return new CastellanError("INVALID_OPTIONS", message, { details: { problems }, cause });
}

function problemsOf(issue: z.core.$ZodIssue, known: readonly string[], at: string): OptionProblem[] {
  const path = [at, ...issue.path.map(String)].filter((part) => part !== "").join(".");
  if (issue.code === "unrecognized_keys" && issue.path.length === 0) {
    return issue.keys.map((key) => ({
      field: [at, key].filter((part) => part !== "").join("."),
      message: `is not an option${didYouMean(nearMisses(key, known))}`,
    }));
  }
  const given = SECRET.test(path) ? kindOf(issue.input) : shorten(issue.input);
  return [{ field: path, message: `${expectationOf(issue)}; got ${given}` }];
}

/** Describes the expected value; of a union, each alternative. */
function expectationOf(issue: z.core.$ZodIssue): string {
  if (issue.code !== "invalid_union" || issue.errors.length === 0) return lowerFirst(issue.message);
  const choices = issue.errors.flatMap(([first]) => {
    if (first === undefined) return [];
    const where = first.path.length === 0 ? "" : `\`${first.path.map(String).join(".")}\`: `;
    return [`${where}${expectationOf(first).replace(/^invalid (input|option): /, "")}`];
  });
  return [...new Set(choices)].join(", or ");
}

/** Shows a primitive value. An object or array may hold secrets, be large, or be cyclic, so only its kind is shown. */
function shorten(value: unknown): string {
  if (value === undefined || typeof value === "function" || (typeof value === "object" && value !== null)) {
    return kindOf(value);
  }
  const text = typeof value === "string" ? JSON.stringify(value) : String(value);
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}

/** Names the kind of `value` without any of its contents. */
function kindOf(value: unknown): string {
  if (value === undefined) return "nothing";
  if (value === null) return "null";
  if (Array.isArray(value)) return "an array";
  if (typeof value !== "object") return `a ${typeof value}`;
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype === null || prototype === Object.prototype) return "an object";
  return `an instance of ${value.constructor?.name || "an unknown class"}`;
}

function lowerFirst(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1).replace(/\.$/, "");
}

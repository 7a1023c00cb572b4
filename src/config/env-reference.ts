import type { OptionProblem } from "../errors.ts";
import { isGlobalName } from "../session/options/global-name.ts";

/** A reference to an environment variable, resolved when the config is loaded. */
export interface EnvReference {
  /** The name of the variable. */
  readonly env: string;
  /** The type of its value. Default `"string"`. */
  readonly as?: "string" | "number" | "boolean";
  /** The value if the variable is unset or empty. Default: loading the config fails. */
  readonly default?: string | number | boolean;
}

const FIELDS: ReadonlySet<string> = new Set(["env", "as", "default"]);

/** Options whose `env` field is not such a reference: an API key is read when a process starts. */
const UNRESOLVED: ReadonlySet<string> = new Set(["apiKey"]);

/** How references are resolved. */
export interface Resolution {
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Called for each reference without a valid value. */
  readonly problem: (problem: OptionProblem) => void;
}

/**
 * Returns `value` with its references replaced.
 *
 * @param field the path of the value, for messages: `children[0].model`
 */
export function resolveReferences(value: unknown, field: string, resolution: Resolution): unknown {
  if (Array.isArray(value))
    return value.map((item, index) => resolveReferences(item, `${field}[${index}]`, resolution));
  if (!isPlain(value)) return value;
  if (isReference(value)) return readVariable(value, field, resolution);
  return Object.fromEntries(
    Object.entries(value).map(([name, part]) => {
      const path = field === "" ? name : `${field}.${name}`;
      if (UNRESOLVED.has(name)) return [name, part];
      // Within the option `env`, `env` can be the name of a variable.
      if (name === "env" && isPlain(part)) return [name, resolveFields(part, path, resolution)];
      return [name, resolveReferences(part, path, resolution)];
    }),
  );
}

/** Returns the name of the variable if `value` is a reference. */
export function variableOf(value: unknown): string | undefined {
  return isPlain(value) && isReference(value) ? value.env : undefined;
}

/** Whether a value is a plain object: neither an instance of a class nor a global name, whose symbol a copy would lose. */
export function isPlain(value: unknown): value is Record<string, unknown> {
  if (typeof value !== "object" || value === null || isGlobalName(value)) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}

function resolveFields(value: Record<string, unknown>, field: string, resolution: Resolution): unknown {
  return Object.fromEntries(
    Object.entries(value).map(([name, part]) => [name, resolveReferences(part, `${field}.${name}`, resolution)]),
  );
}

function isReference(value: Record<string, unknown>): value is Record<string, unknown> & EnvReference {
  return typeof value["env"] === "string" && Object.keys(value).every((name) => FIELDS.has(name));
}

function readVariable(reference: EnvReference, field: string, { environment, problem }: Resolution): unknown {
  const { env, as = "string" } = reference;
  const text = environment[env];
  if (text === undefined || text === "") {
    if (reference.default !== undefined) return reference.default;
    problem({ field, message: `the environment variable ${env} is not set, and the reference has no \`default\`` });
    return undefined;
  }
  switch (as) {
    case "string":
      return text;
    case "number": {
      const number = Number(text);
      if (!Number.isNaN(number)) return number;
      problem({ field, message: `the environment variable ${env} must be a number, but is ${JSON.stringify(text)}` });
      return undefined;
    }
    case "boolean":
      if (text === "true" || text === "1") return true;
      if (text === "false" || text === "0") return false;
      problem({
        field,
        message: `the environment variable ${env} must be true or false, but is ${JSON.stringify(text)}`,
      });
      return undefined;
    default:
      problem({ field: `${field}.as`, message: 'expected "string", "number" or "boolean"' });
      return undefined;
  }
}

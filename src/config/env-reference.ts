import type { OptionProblem } from "../errors.ts";

/** Stands for the value of an environment variable, which is read when the configuration is. */
export interface EnvReference {
  /** The name of the variable. */
  readonly env: string;
  /** What it is read as. Default `"string"`. */
  readonly as?: "string" | "number" | "boolean";
  /** What it is if the variable is not set, or empty. Default: the configuration is refused. */
  readonly default?: string | number | boolean;
}

const FIELDS: ReadonlySet<string> = new Set(["env", "as", "default"]);

/** Options whose value is not looked into: the key is read when a process is started, and `env` is no reference. */
const KEPT: ReadonlySet<string> = new Set(["apiKey"]);

/** What is done with the references in a value. */
export interface Resolution {
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Told of each reference that has no value. */
  readonly problem: (problem: OptionProblem) => void;
}

/**
 * `value` with what its references stand for.
 *
 * @param field where it stands, for messages: `children[0].model`
 */
export function resolved(value: unknown, field: string, resolution: Resolution): unknown {
  if (Array.isArray(value)) return value.map((item, index) => resolved(item, `${field}[${index}]`, resolution));
  if (!isPlain(value)) return value;
  if (isReference(value)) return valueOfVariable(value, field, resolution);
  return Object.fromEntries(
    Object.entries(value).map(([name, part]) => {
      const path = field === "" ? name : `${field}.${name}`;
      if (KEPT.has(name)) return [name, part];
      // A variable for the process may itself be called `env`.
      if (name === "env" && isPlain(part)) return [name, resolvedFields(part, path, resolution)];
      return [name, resolved(part, path, resolution)];
    }),
  );
}

/** The variable that a value is taken from, if it is. */
export function variableOf(value: unknown): string | undefined {
  return isPlain(value) && isReference(value) ? value.env : undefined;
}

/** Whether it is an object of data, and not of a class. */
export function isPlain(value: unknown): value is Record<string, unknown> {
  if (typeof value !== "object" || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}

function resolvedFields(value: Record<string, unknown>, field: string, resolution: Resolution): unknown {
  return Object.fromEntries(
    Object.entries(value).map(([name, part]) => [name, resolved(part, `${field}.${name}`, resolution)]),
  );
}

function isReference(value: Record<string, unknown>): value is Record<string, unknown> & EnvReference {
  return typeof value["env"] === "string" && Object.keys(value).every((name) => FIELDS.has(name));
}

function valueOfVariable(reference: EnvReference, field: string, { environment, problem }: Resolution): unknown {
  const { env, as = "string" } = reference;
  const text = environment[env];
  if (text === undefined || text === "") {
    if (reference.default !== undefined) return reference.default;
    problem({ field, message: `the environment variable ${env} is not set, and there is no \`default\`` });
    return undefined;
  }
  switch (as) {
    case "string":
      return text;
    case "number": {
      const number = Number(text);
      if (!Number.isNaN(number)) return number;
      problem({ field, message: `the environment variable ${env} is to be a number, and is ${JSON.stringify(text)}` });
      return undefined;
    }
    case "boolean":
      if (text === "true" || text === "1") return true;
      if (text === "false" || text === "0") return false;
      problem({
        field,
        message: `the environment variable ${env} is to be true or false, and is ${JSON.stringify(text)}`,
      });
      return undefined;
    default:
      problem({ field: `${field}.as`, message: 'expected "string", "number" or "boolean"' });
      return undefined;
  }
}

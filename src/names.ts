import leven from "leven";
import { printable } from "./printable.ts";

/**
 * The name of a session: a string, or a tuple that begins with one, such as `["user", 42]`. Names are compared by value: `"user"`,
 * `["user"]`, `["user", "42"]` and `["user", 42]` are four different names.
 */
export type SessionName = string | readonly [string, ...(string | number)[]];

/** The maximum length of a name's canonical form, in characters. */
const LONGEST_NAME = 512;

/** Why `value` is not a session name, or `undefined` if it is one. */
export function nameProblem(value: unknown): string | undefined {
  const parts = Array.isArray(value) ? value : [value];
  if (parts.length === 0) return "an empty tuple; give at least one string";
  if (typeof parts[0] !== "string") return `${describe(parts[0])} where a string is needed`;
  for (const part of parts) {
    if (typeof part === "number" ? !Number.isFinite(part) : typeof part !== "string") {
      return `${describe(part)}; the parts of a name are strings and finite numbers`;
    }
    if (part === "") return "an empty string";
  }
  if (JSON.stringify(value).length > LONGEST_NAME) return `longer than ${LONGEST_NAME} characters`;
  return undefined;
}

/** The canonical form of a name. Names are equal exactly if their keys are. */
export function nameKey(name: SessionName): string {
  return JSON.stringify(name);
}

/** The name of a key made by {@link nameKey}. */
export function nameOfKey(key: string): SessionName {
  return JSON.parse(key) as SessionName;
}

/** The common prefix of the keys of all longer tuples with this first part. */
export function keyPrefix(first: string): string {
  return `[${JSON.stringify(first)},`;
}

/** Whether `name` begins with the parts of `prefix`, or equals it. */
export function beginsWith(name: SessionName, prefix: SessionName): boolean {
  const [parts, first] = [partsOf(name), partsOf(prefix)];
  return first.length <= parts.length && first.every((part, at) => part === parts[at]);
}

function partsOf(name: SessionName): readonly (string | number)[] {
  return typeof name === "string" ? [name] : name;
}

/** A name for display: `"assistant"`, `["user",42]`. Escapes control characters. */
export function formatName(name: SessionName): string {
  return printable(JSON.stringify(name));
}

/** Up to three of `known` that resemble `wanted`, the nearest first. */
export function nearMisses(wanted: string, known: Iterable<string>): string[] {
  const limit = Math.max(2, Math.floor(wanted.length / 3));
  return [...known]
    .map((candidate) => ({ candidate, distance: distance(wanted, candidate, limit) }))
    .filter(({ distance }) => distance <= limit)
    .sort((a, b) => a.distance - b.distance)
    .slice(0, 3)
    .map(({ candidate }) => candidate);
}

/** A suggestion to append to a message: ``; did you mean `a` or `b`?``, or an empty string. */
export function didYouMean(candidates: readonly string[]): string {
  return candidates.length === 0 ? "" : `; did you mean ${candidates.map((name) => `\`${name}\``).join(" or ")}?`;
}

function distance(a: string, b: string, limit: number): number {
  return Math.abs(a.length - b.length) > limit ? Number.POSITIVE_INFINITY : leven(a.toLowerCase(), b.toLowerCase());
}

function describe(value: unknown): string {
  if (value === undefined) return "nothing";
  return value === null
    ? "null"
    : Array.isArray(value)
      ? "a nested tuple"
      : typeof value === "object"
        ? "an object"
        : `${typeof value} ${String(value)}`;
}

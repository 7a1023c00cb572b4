import { z } from "zod";
import { withoutUndefined } from "../../fields.ts";
import { formatName, nameProblem, type SessionName } from "../../names.ts";
import { invalidOptions, validate } from "./validation.ts";

/** The first part of every global session's name. */
export const GLOBAL = "global";

/** The key of a global name. Registered globally, so that all copies of this package share it. */
const GLOBAL_NAME: unique symbol = Symbol.for("castellan.global.1");

/**
 * Which nodes may host a global session, template or pool, and which ones should. Read where it is declared; calls may
 * omit it.
 */
export interface GlobalPlacement {
  /** Requires a node with these labels. */
  readonly labels?: Readonly<Record<string, string>>;
  /**
   * Prefers nodes with these labels. Others take the session while none of them is alive and has room.
   *
   * @example
   * template(global("support", { affinity: { zone: "a" } }))
   */
  readonly affinity?: Readonly<Record<string, string>>;
  /**
   * The label of nodes over whose values to spread: a session goes to a node of the value that has the fewest sessions whose
   * names share their first part; a turn of a pool, to a node of the least loaded value. A value without nodes keeps nobody
   * waiting. Applies after `affinity`.
   *
   * @example
   * template(global("support", { spread: "zone" }))
   */
  readonly spread?: string;
}

/** The name of a session, template or pool that exists once in a cluster, rather than once in a process. */
export interface GlobalName {
  readonly [GLOBAL_NAME]: {
    /** The name as the cluster knows it: `["global", "support", 42]`. */
    readonly name: readonly [string, string | number, ...(string | number)[]];
    readonly labels: Readonly<Record<string, string>>;
    /** Left out by copies of earlier releases. */
    readonly preferred?: Omit<GlobalPlacement, "labels">;
  };
}

const labelsSchema = z.record(z.string().min(1), z.string());
const placementSchema = z.strictObject({
  labels: labelsSchema.optional(),
  affinity: labelsSchema.optional(),
  spread: z.string().min(1).optional(),
});

/** Makes a {@link GlobalName} of a local name. @throws CastellanError `INVALID_OPTIONS` */
export function globalName(name: SessionName, placement: GlobalPlacement = {}): GlobalName {
  const { labels = {}, ...preferred } = validate(placementSchema, placement, "global");
  const problem = nameProblem(name);
  if (problem !== undefined) {
    const message = `expected a name: a string, or a tuple that begins with one; this is ${problem}`;
    throw invalidOptions("global", [{ field: "name", message }]);
  }
  const given = typeof name === "string" ? ([name] as const) : name;
  // Statuses and lists show the name with its prefix; accept that form too.
  const [first, second, ...rest] = given;
  const parts = first === GLOBAL && second !== undefined ? ([second, ...rest] as const) : given;
  return { [GLOBAL_NAME]: { name: [GLOBAL, ...parts], labels, preferred: withoutUndefined(preferred) } };
}

export function isGlobalName(value: unknown): value is GlobalName {
  return typeof value === "object" && value !== null && GLOBAL_NAME in value;
}

/** Returns the name as the cluster knows it. @throws CastellanError `INVALID_OPTIONS` if `name` is not global */
export function globalNameOf(name: GlobalName): readonly [string, string | number, ...(string | number)[]] {
  if (isGlobalName(name)) return name[GLOBAL_NAME].name;
  const given = nameProblem(name) === undefined ? formatName(name) : typeof name;
  const message = `expected a global name, \`global(…)\`; got ${given}, which is one of this process`;
  throw invalidOptions("cluster", [{ field: "name", message }]);
}

/**
 * Refuses a global name in a position that only accepts a local one.
 *
 * @throws CastellanError `INVALID_OPTIONS`
 */
export function refuseGlobalName(name: unknown, what: string, field: string): void {
  if (!isGlobalName(name)) return;
  const message =
    "is global, which only a direct child of a supervisor with the option `cluster` can be, from its start on";
  throw invalidOptions(what, [{ field, message }]);
}

export function labelsOf(name: GlobalName): Readonly<Record<string, string>> {
  return name[GLOBAL_NAME].labels;
}

/** Returns which nodes are preferred, or undefined if all are equal. */
export function preferenceOf(name: GlobalName): Omit<GlobalPlacement, "labels"> | undefined {
  const { preferred = {} } = name[GLOBAL_NAME];
  return Object.keys(preferred).length === 0 ? undefined : preferred;
}

import { withoutUndefined } from "../fields.ts";
import type { ConfigLocation } from "../session/options/config-location.ts";
import { isPlain, variableOf } from "./env-reference.ts";

/** One layer of a configuration as it was read, and where it stands. */
export interface ReadLayer {
  readonly config: Record<string, unknown>;
  readonly location: Pick<ConfigLocation, "file" | "layer">;
}

/** Where the fields of each object stand, by the object. */
export type ConfigLocations = Map<object, Map<string, ConfigLocation>>;

/** A configuration out of several layers. */
export interface MergedConfig {
  readonly config: Record<string, unknown>;
  readonly locations: ConfigLocations;
}

/** Options that are made of fields which the layers give one by one. */
const MADE_OF_FIELDS: ReadonlySet<string> = new Set(["defaults", "capacity", "sessions"]);

/** By which children are known, in this order: a supervisor and a session have the same. */
const NAMES = ["template", "pool", "id", "name"] as const;

/** Puts the layers one over the other, the last on top. */
export function mergedConfig(layers: readonly ReadLayer[]): MergedConfig {
  const locations: ConfigLocations = new Map();
  let config: Record<string, unknown> = {};
  for (const layer of layers) config = over(config, layer.config, layer.location, locations);
  return { config, locations };
}

/** `upper` over `lower`, field by field. */
function over(
  lower: Record<string, unknown>,
  upper: Record<string, unknown>,
  location: ReadLayer["location"],
  locations: ConfigLocations,
): Record<string, unknown> {
  const merged: Record<string, unknown> = { ...lower };
  const known = new Map(locations.get(lower));
  for (const [field, value] of Object.entries(upper)) {
    if (value === undefined) continue;
    merged[field] = mergedField(field, lower[field], value, location, locations);
    const variable = variableOf(value);
    known.set(field, { ...location, ...withoutUndefined({ variable }) });
  }
  locations.set(merged, known);
  return merged;
}

function mergedField(
  field: string,
  lower: unknown,
  upper: unknown,
  location: ReadLayer["location"],
  locations: ConfigLocations,
): unknown {
  if (field === "children" && Array.isArray(upper))
    return mergedChildren(Array.isArray(lower) ? lower : [], upper, location, locations);
  if (!MADE_OF_FIELDS.has(field) || !isPlain(upper)) return upper;
  return over(isPlain(lower) ? lower : {}, upper, location, locations);
}

/** Those of the same name are put one over the other; what is new comes after the others. */
function mergedChildren(
  lower: readonly unknown[],
  upper: readonly unknown[],
  location: ReadLayer["location"],
  locations: ConfigLocations,
): unknown[] {
  const merged = [...lower];
  for (const child of upper) {
    if (!isPlain(child)) {
      merged.push(child);
      continue;
    }
    const name = nameOf(child);
    const index = name === undefined ? -1 : merged.findIndex((other) => isPlain(other) && nameOf(other) === name);
    const below = merged[index];
    const one = over(isPlain(below) ? below : {}, child, location, locations);
    if (index === -1) merged.push(one);
    else merged[index] = one;
  }
  return merged;
}

function nameOf(child: Record<string, unknown>): string | undefined {
  const field = NAMES.find((name) => child[name] !== undefined);
  return field === undefined ? undefined : JSON.stringify([field, child[field]]);
}

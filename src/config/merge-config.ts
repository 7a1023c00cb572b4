import { withoutUndefined } from "../fields.ts";
import type { ConfigLocation } from "../session/options/config-location.ts";
import { globalNameOf, isGlobalName } from "../session/options/global-name.ts";
import { isPlain, variableOf } from "./env-reference.ts";

/** One layer of a config, with its location. */
export interface ReadLayer {
  readonly config: Record<string, unknown>;
  readonly location: Pick<ConfigLocation, "file" | "layer">;
}

/** The locations of the fields of each object. */
export type ConfigLocations = Map<object, Map<string, ConfigLocation>>;

/** A config merged from several layers. */
export interface MergedConfig {
  readonly config: Record<string, unknown>;
  readonly locations: ConfigLocations;
}

/** Options that layers override field by field. */
const MERGED_FIELDS: ReadonlySet<string> = new Set(["defaults", "capacity", "sessions"]);

/** The fields that identify children, by precedence. Supervisors and sessions share `name`. */
const NAMES = ["template", "pool", "id", "name"] as const;

/** Merges layers; later ones override earlier ones. */
export function mergeConfig(layers: readonly ReadLayer[]): MergedConfig {
  const locations: ConfigLocations = new Map();
  let config: Record<string, unknown> = {};
  for (const layer of layers) config = override(config, layer.config, layer.location, locations);
  return { config, locations };
}

/** Merges `upper` over `lower`, field by field. */
function override(
  lower: Record<string, unknown>,
  upper: Record<string, unknown>,
  location: ReadLayer["location"],
  locations: ConfigLocations,
): Record<string, unknown> {
  const merged: Record<string, unknown> = { ...lower };
  const known = new Map(locations.get(lower));
  for (const [field, value] of Object.entries(upper)) {
    if (value === undefined) continue;
    merged[field] = mergeField(field, lower[field], value, location, locations);
    const variable = variableOf(value);
    known.set(field, { ...location, ...withoutUndefined({ variable }) });
  }
  locations.set(merged, known);
  return merged;
}

function mergeField(
  field: string,
  lower: unknown,
  upper: unknown,
  location: ReadLayer["location"],
  locations: ConfigLocations,
): unknown {
  if (field === "children" && Array.isArray(upper))
    return mergeChildren(Array.isArray(lower) ? lower : [], upper, location, locations);
  if (!MERGED_FIELDS.has(field) || !isPlain(upper)) return upper;
  return override(isPlain(lower) ? lower : {}, upper, location, locations);
}

/** Merges children of the same name; appends new ones. */
function mergeChildren(
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
    const one = override(isPlain(below) ? below : {}, child, location, locations);
    if (index === -1) merged.push(one);
    else merged[index] = one;
  }
  return merged;
}

function nameOf(child: Record<string, unknown>): string | undefined {
  const field = NAMES.find((name) => child[name] !== undefined);
  if (field === undefined) return undefined;
  const name = child[field];
  return JSON.stringify([field, isGlobalName(name) ? { global: globalNameOf(name) } : name]);
}

/** Where a configuration file sets an option. */
export interface ConfigLocation {
  /** The path of the file, relative to the working directory. */
  readonly file: string;
  /** The environment-specific layer of the file, such as `"production"`. */
  readonly layer?: string;
  /** The environment variable that supplied the value. */
  readonly variable?: string;
}

/** Locations by options object. A WeakMap, so that the options objects themselves carry no extra fields. */
const locationsOf = new WeakMap<object, ReadonlyMap<string, ConfigLocation>>();

const NOWHERE: ReadonlyMap<string, ConfigLocation> = new Map();

/** Records where each field of `options` is set. */
export function setConfigLocations(options: object, fields: ReadonlyMap<string, ConfigLocation>): void {
  locationsOf.set(options, fields);
}

/** Gives `copy` the locations recorded for `options`, and returns it. */
export function copyConfigLocations<Copy extends object>(options: object, copy: Copy): Copy {
  const fields = locationsOf.get(options);
  if (fields !== undefined) locationsOf.set(copy, fields);
  return copy;
}

/** Merges the application's own options over those from a configuration file. */
export function overrideConfigured<Options extends object>(configured: Options, own: Options): Options {
  const merged = { ...configured, ...own };
  const fields = [...configLocations(configured)].filter(([field]) => !(field in own));
  setConfigLocations(merged, new Map(fields));
  return merged;
}

/** Returns where a configuration file sets each of these options. Options from elsewhere are not in the map. */
export function configLocations(options: object): ReadonlyMap<string, ConfigLocation> {
  return locationsOf.get(options) ?? NOWHERE;
}

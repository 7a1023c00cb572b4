/** Where in the files of configuration an option stands. */
export interface ConfigLocation {
  /** The file, from the working directory. */
  readonly file: string;
  /** The layer of the file that is only for one environment: `"production"`. */
  readonly layer?: string;
  /** The environment variable that its value was taken from. */
  readonly variable?: string;
}

/** By the objects of options themselves, so that nothing foreign is among the options. */
const locationsOf = new WeakMap<object, ReadonlyMap<string, ConfigLocation>>();

const NOWHERE: ReadonlyMap<string, ConfigLocation> = new Map();

/** Remembers where each of these options stands. */
export function setConfigLocations(options: object, fields: ReadonlyMap<string, ConfigLocation>): void {
  locationsOf.set(options, fields);
}

/** Has what is a copy of options, or of some of them, stand where they do. */
export function copyConfigLocations<Copy extends object>(options: object, copy: Copy): Copy {
  const fields = locationsOf.get(options);
  if (fields !== undefined) locationsOf.set(copy, fields);
  return copy;
}

/** Options of the application's own over those of a file. */
export function overrideConfigured<Options extends object>(configured: Options, own: Options): Options {
  const merged = { ...configured, ...own };
  const fields = [...configLocations(configured)].filter(([field]) => !(field in own));
  setConfigLocations(merged, new Map(fields));
  return merged;
}

/** Where those of these options stand that were read from a file of configuration. */
export function configLocations(options: object): ReadonlyMap<string, ConfigLocation> {
  return locationsOf.get(options) ?? NOWHERE;
}

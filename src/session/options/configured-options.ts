/** Where in the files of configuration an option stands. */
export interface ConfiguredPlace {
  /** The file, from the working directory. */
  readonly file: string;
  /** The layer of the file that is only for one environment: `"production"`. */
  readonly layer?: string;
  /** The environment variable that its value was taken from. */
  readonly variable?: string;
}

/** By the objects of options themselves, so that nothing foreign is among the options. */
const places = new WeakMap<object, ReadonlyMap<string, ConfiguredPlace>>();

const NOWHERE: ReadonlyMap<string, ConfiguredPlace> = new Map();

/** Remembers where each of these options stands. */
export function noteConfigured(options: object, fields: ReadonlyMap<string, ConfiguredPlace>): void {
  places.set(options, fields);
}

/** Has what is a copy of options, or of some of them, stand where they do. */
export function copyConfigured<Copy extends object>(options: object, copy: Copy): Copy {
  const fields = places.get(options);
  if (fields !== undefined) places.set(copy, fields);
  return copy;
}

/** Options of the application's own over those of a file. */
export function overConfigured<Options extends object>(configured: Options, own: Options): Options {
  const merged = { ...configured, ...own };
  const fields = [...configuredPlaces(configured)].filter(([field]) => !(field in own));
  noteConfigured(merged, new Map(fields));
  return merged;
}

/** Where those of these options stand that were read from a file of configuration. */
export function configuredPlaces(options: object): ReadonlyMap<string, ConfiguredPlace> {
  return places.get(options) ?? NOWHERE;
}

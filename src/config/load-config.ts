import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { dirname, extname, isAbsolute, relative, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import type { LoadConfigOptions, ResolvedConfig } from "c12";
import type { Jiti } from "jiti";
import type { ChildOptions } from "../application/options/child-options.ts";
import type { SupervisorOptions } from "../application/options/supervisor-options.ts";
import type { CastellanError, OptionProblem } from "../errors.ts";
import { withoutUndefined } from "../fields.ts";
import { didYouMean, nearMisses } from "../names.ts";
import { copyConfigLocations, setConfigLocations } from "../session/options/config-location.ts";
import { invalidOptions } from "../session/options/validation.ts";
import { isPlain, resolved } from "./env-reference.ts";
import { type ConfigLocations, mergedConfig, type ReadLayer } from "./merged-config.ts";

/** Which configuration is read, and for what. */
export interface ConfigSource {
  /** The file, from `cwd`. Default: `castellan.config` with one of the endings `.ts`, `.mts`, `.js`, `.mjs`, `.json`, … */
  file?: string;
  /** Default: the working directory. */
  cwd?: string;
  /** For which environment. Default: what `NODE_ENV` says, or `"development"`. */
  environment?: string;
}

/** A configuration that was read. */
export interface LoadedConfig {
  readonly children: readonly ChildOptions[];
  readonly options: SupervisorOptions;
  /** The file, from the working directory, with those that it extends. */
  readonly files: readonly string[];
  readonly environment: string;
}

/** What a configuration comes to. What is wrong in it is told when a supervisor is to be started with it. */
type Settled = SupervisorOptions & { readonly children?: readonly ChildOptions[] };

const NAME = "castellan";

/** The environment that `source` is for. */
export function environmentOf({ environment }: ConfigSource): string {
  return environment ?? (process.env["NODE_ENV"] || "development");
}

/** Endings of files that are code or JSON; the library has what it takes for others, such as YAML. */
const LOADED_HERE = /\.(?:[cm]?[jt]s|json)$/;

/** How the library that reads the files is asked to. */
async function readingOptions({ file, cwd = process.cwd() }: ConfigSource): Promise<LoadConfigOptions> {
  const jiti = await freshLoader(resolve(cwd));
  return {
    name: NAME,
    cwd: resolve(cwd),
    ...withoutUndefined({ configFile: file }),
    // Layers are put together here, since children are known by their names and each option has its place.
    envName: false,
    rcFile: false,
    globalRc: false,
    packageJson: false,
    dotenv: false,
    // Code is not fetched from elsewhere.
    giget: false,
    jiti,
    // The library passes over a file that is not there, and looks for one in another folder twice as deep.
    resolve: async (source, { cwd: folder = cwd }) => {
      if (extname(source) === "" || !(isAbsolute(source) || source.startsWith("."))) return undefined;
      const path = resolve(folder, source);
      if (!existsSync(path)) throw new Error(`it extends ${source}, and there is no ${path}`);
      if (!LOADED_HERE.test(path)) return undefined;
      const config = await jiti.import<Record<string, unknown>>(path, { default: true });
      return { config, configFile: path, cwd: dirname(path), source };
    },
  };
}

/**
 * Reads a configuration.
 *
 * @throws CastellanError `INVALID_OPTIONS` if there is none, it cannot be read, or a variable is not set
 */
export async function loadConfig(source: ConfigSource): Promise<LoadedConfig> {
  let read: ResolvedConfig;
  try {
    // Only who has a file of configuration needs it, and it takes a tenth of a second.
    const { loadConfig: readConfig } = await import("c12");
    read = await readConfig(await readingOptions(source));
  } catch (error) {
    throw unreadable(source, error);
  }
  return configOf(read, source);
}

/** Why a configuration cannot be read. */
function unreadable({ file }: ConfigSource, cause: unknown): CastellanError<"INVALID_OPTIONS"> {
  const words = cause instanceof Error ? cause.message : String(cause);
  const message = `could not be read: ${words.replace(/\.$/, "")}`;
  return invalidOptions("configuration", [{ field: file ?? `${NAME}.config`, message }], cause);
}

/** What a configuration that was read says for the environment. @throws CastellanError `INVALID_OPTIONS` */
function configOf(read: ResolvedConfig, source: ConfigSource): LoadedConfig {
  const cwd = resolve(source.cwd ?? ".");
  const environment = environmentOf(source);
  if (read._configFile === undefined) {
    const message = `there is no such file in ${cwd}`;
    throw invalidOptions("configuration", [{ field: source.file ?? `${NAME}.config.ts`, message }]);
  }
  const files = (read.layers ?? []).flatMap(({ config, configFile, cwd: folder = cwd }, index) => {
    // Only of the first, which is the file itself, the ending may have been left to the library.
    const found = index === 0 ? read._configFile : configFile;
    return config === null || found === undefined ? [] : [{ config, file: relative(cwd, resolve(folder, found)) }];
  });
  // The library gives the file itself first, then those that it extends.
  const { config, locations } = mergedConfig(files.toReversed().flatMap((file) => layersOf(file, environment)));
  const problems: OptionProblem[] = [];
  const resolution = { environment: process.env, problem: (problem: OptionProblem) => void problems.push(problem) };
  const settled = resolvedKeeping(config, "", locations, resolution) as Settled;
  if (problems.length > 0) throw invalidOptions(`configuration ${files[0]?.file}`, problems);
  const { children = [], ...options } = settled;
  return {
    children,
    options: copyConfigLocations(settled, options),
    files: files.map(({ file }) => file),
    environment,
  };
}

/** The fields of a file that hold layers: of these environments, and in `$env` of any other. */
const ENVIRONMENTS = ["development", "test", "production"] as const;
const LAYERS = "$env";

/**
 * What is for all environments, and what is for this one, which goes over it.
 *
 * @throws CastellanError `INVALID_OPTIONS` if a layer is that of no environment
 */
function layersOf(
  { config, file }: { readonly config: object; readonly file: string },
  environment: string,
): ReadLayer[] {
  const { [LAYERS]: named, extends: _, ...own } = config as Record<string, unknown>;
  const others = named === undefined ? {} : named;
  if (!isPlain(others)) throw notRight(file, LAYERS, "expected an object, with a layer for each environment");
  const layers = Object.entries(own).filter(([field]) => field.startsWith("$"));
  for (const [field] of layers) refuseNoEnvironment(file, field);
  for (const name of Object.keys(others)) refuseMisspelt(file, name, environment);
  refuseUnmet(file, environment, [...layers.map(([field]) => field.slice(1)), ...Object.keys(others)]);
  const common = Object.fromEntries(Object.entries(own).filter(([field]) => !field.startsWith("$")));
  const found: ReadLayer[] = [{ config: common, location: { file } }];
  for (const layer of [own[`$${environment}`], others[environment]]) {
    if (isPlain(layer)) found.push({ config: layer, location: { file, layer: environment } });
    else if (layer !== undefined) throw notRight(file, `$${environment}`, "expected an object");
  }
  return found;
}

function refuseNoEnvironment(file: string, field: string): void {
  const known = ENVIRONMENTS.map((name) => `$${name}`);
  if (known.includes(field as (typeof known)[number])) return;
  const near = didYouMean(nearMisses(field, [...known, LAYERS]));
  const message = `is no layer; those are ${known.join(", ")}, and in \`${LAYERS}\` those of other environments${near}`;
  throw notRight(file, field, message);
}

/** Any name can be an environment's, so that only one that is almost another's is taken for a slip. */
function refuseMisspelt(file: string, name: string, environment: string): void {
  if (name === environment || ENVIRONMENTS.some((known) => known === name)) return;
  const near = nearMisses(name, ENVIRONMENTS);
  if (near.length > 0) throw notRight(file, `${LAYERS}.${name}`, `is the layer of no environment${didYouMean(near)}`);
}

function refuseUnmet(file: string, environment: string, layers: readonly string[]): void {
  if (layers.includes(environment) || ENVIRONMENTS.some((name) => name === environment)) return;
  const near = nearMisses(environment, layers);
  if (near.length === 0) return;
  const message = `there is no layer for the environment ${JSON.stringify(environment)}${didYouMean(near)}`;
  throw notRight(file, "NODE_ENV", message);
}

function notRight(file: string, field: string, message: string): CastellanError<"INVALID_OPTIONS"> {
  return invalidOptions(`configuration ${file}`, [{ field, message }]);
}

/** The value with what its references stand for, of whose objects it is remembered where they stand. */
function resolvedKeeping(
  value: unknown,
  field: string,
  locations: ConfigLocations,
  resolution: Parameters<typeof resolved>[2],
): unknown {
  if (Array.isArray(value))
    return value.map((item, index) => resolvedKeeping(item, `${field}[${index}]`, locations, resolution));
  if (!isPlain(value) || !locations.has(value)) return resolved(value, field, resolution);
  const entries = Object.entries(value).map(([name, part]) => {
    const path = field === "" ? name : `${field}.${name}`;
    // What the layers give field by field, and children, have places of their own.
    const deep = (isPlain(part) && locations.has(part)) || name === "children";
    if (deep) return [name, resolvedKeeping(part, path, locations, resolution)];
    const whole = resolved({ [name]: part }, field, resolution) as Record<string, unknown>;
    return [name, whole[name]];
  });
  const settled = Object.fromEntries(entries.filter(([, part]) => part !== undefined));
  setConfigLocations(settled, locations.get(value) ?? new Map());
  return settled;
}

/** How often a file has been read, since a module is only loaded once under one address. */
const times = new Map<string, number>();

/** TypeScript that Node cannot run as it is, such as with enumerations. */
const NOT_ERASABLE = "ERR_UNSUPPORTED_TYPESCRIPT_SYNTAX";

/**
 * Loads files of configuration for the library that finds them: by Node itself, so that what they import is what the application
 * imports; and as they are now, where the library's own loader keeps what it has read once.
 */
async function freshLoader(cwd: string): Promise<Jiti> {
  const { createJiti } = await import("jiti");
  const jiti = createJiti(cwd, { interopDefault: true, moduleCache: false });
  const transpiled = jiti.import;
  const load = async <Loaded>(file: string): Promise<Loaded> => {
    try {
      return (await loadedByNode(file)) as Loaded;
    } catch (error) {
      if (error instanceof Error && "code" in error && error.code === NOT_ERASABLE) {
        return await transpiled<Loaded>(file, { default: true });
      }
      throw error;
    }
  };
  return Object.assign(jiti, { import: load });
}

async function loadedByNode(file: string): Promise<unknown> {
  if (extname(file) === ".json") return JSON.parse(await readFile(file, "utf8"));
  const before = times.get(file) ?? 0;
  times.set(file, before + 1);
  const url = pathToFileURL(file).href;
  const loaded = (await import(before === 0 ? url : `${url}?${before}`)) as { readonly default: unknown };
  return loaded.default;
}

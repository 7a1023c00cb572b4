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
import { isPlain, resolveReferences } from "./env-reference.ts";
import { type ConfigLocations, mergeConfig, type ReadLayer } from "./merge-config.ts";

/** Which config file to load, and for which environment. */
export interface ConfigSource {
  /**
   * The path of the file, relative to `cwd`. Default: `castellan.config` with one of the extensions `.ts`, `.mts`, `.js`, `.mjs`,
   * `.json`, …
   */
  file?: string;
  /** Default: the working directory. */
  cwd?: string;
  /** The environment. Default: `NODE_ENV`, or `"development"`. */
  environment?: string;
}

/** A loaded config. */
export interface LoadedConfig {
  readonly children: readonly ChildOptions[];
  readonly options: SupervisorOptions;
  /** The file and the files that it extends, relative to the working directory. */
  readonly files: readonly string[];
  readonly environment: string;
}

/** A config with its references resolved. Its options are validated when a supervisor starts with them. */
type ResolvedOptions = SupervisorOptions & { readonly children?: readonly ChildOptions[] };

const NAME = "castellan";

/** Returns the environment of a config. */
export function environmentOf({ environment }: ConfigSource): string {
  return environment ?? (process.env["NODE_ENV"] || "development");
}

/** The extensions of code and JSON. c12 itself loads other formats, such as YAML. */
const NODE_EXTENSIONS = /\.(?:[cm]?[jt]s|json)$/;

/** Returns c12's options. */
async function c12Options({ file, cwd = process.cwd() }: ConfigSource): Promise<LoadConfigOptions> {
  const jiti = await freshLoader(resolve(cwd));
  return {
    name: NAME,
    cwd: resolve(cwd),
    ...withoutUndefined({ configFile: file }),
    // Castellan merges the layers itself: it matches children by name and records the location of each option.
    envName: false,
    rcFile: false,
    globalRc: false,
    packageJson: false,
    dotenv: false,
    // No code is fetched from elsewhere.
    giget: false,
    jiti,
    // c12 ignores a missing file, and looks for a file of another folder at a doubled path.
    resolve: async (source, { cwd: folder = cwd }) => {
      if (extname(source) === "" || !(isAbsolute(source) || source.startsWith("."))) return undefined;
      const path = resolve(folder, source);
      if (!existsSync(path)) throw new Error(`it extends ${source}, but ${path} does not exist`);
      if (!NODE_EXTENSIONS.test(path)) return undefined;
      const config = await jiti.import<Record<string, unknown>>(path, { default: true });
      return { config, configFile: path, cwd: dirname(path), source };
    },
  };
}

/**
 * Loads a config.
 *
 * @throws CastellanError `INVALID_OPTIONS` if there is no file, it cannot be read, or a variable is not set
 */
export async function loadConfig(source: ConfigSource): Promise<LoadedConfig> {
  let read: ResolvedConfig;
  try {
    // Loaded on demand: it takes a tenth of a second, and only applications with a config file need it.
    const { loadConfig: readConfig } = await import("c12");
    read = await readConfig(await c12Options(source));
  } catch (error) {
    throw unreadable(source, error);
  }
  return configOf(read, source);
}

/** Returns the error of a config that cannot be read. */
function unreadable({ file }: ConfigSource, cause: unknown): CastellanError<"INVALID_OPTIONS"> {
  const words = cause instanceof Error ? cause.message : String(cause);
  const message = `could not be read: ${words.replace(/\.$/, "")}`;
  return invalidOptions("configuration", [{ field: file ?? `${NAME}.config`, message }], cause);
}

/** Returns what a config says for the environment. @throws CastellanError `INVALID_OPTIONS` */
function configOf(read: ResolvedConfig, source: ConfigSource): LoadedConfig {
  const cwd = resolve(source.cwd ?? ".");
  const environment = environmentOf(source);
  if (read._configFile === undefined) {
    const message = `no such file in ${cwd}`;
    throw invalidOptions("configuration", [{ field: source.file ?? `${NAME}.config.ts`, message }]);
  }
  const files = (read.layers ?? []).flatMap(({ config, configFile, cwd: folder = cwd }, index) => {
    // Only the first file's extension can have been left to c12.
    const found = index === 0 ? read._configFile : configFile;
    return config === null || found === undefined ? [] : [{ config, file: relative(cwd, resolve(folder, found)) }];
  });
  // c12 lists the file itself first, then the files that it extends.
  const { config, locations } = mergeConfig(files.toReversed().flatMap((file) => layersOf(file, environment)));
  const problems: OptionProblem[] = [];
  const resolution = { environment: process.env, problem: (problem: OptionProblem) => void problems.push(problem) };
  const settled = resolveWithLocations(config, "", locations, resolution) as ResolvedOptions;
  if (problems.length > 0) throw invalidOptions(`configuration ${files[0]?.file}`, problems);
  const { children = [], ...options } = settled;
  return {
    children,
    options: copyConfigLocations(settled, options),
    files: files.map(({ file }) => file),
    environment,
  };
}

/** The fields of a file that hold layers: one per known environment, and `$env` for all others. */
const ENVIRONMENTS = ["development", "test", "production"] as const;
const LAYERS = "$env";

/**
 * Returns the layer for all environments, and the layer for this one, which overrides it.
 *
 * @throws CastellanError `INVALID_OPTIONS` if the file has a layer for an unknown environment
 */
function layersOf(
  { config, file }: { readonly config: object; readonly file: string },
  environment: string,
): ReadLayer[] {
  const { [LAYERS]: named, extends: _, ...own } = config as Record<string, unknown>;
  const others = named === undefined ? {} : named;
  if (!isPlain(others)) throw invalidConfig(file, LAYERS, "expected an object with one layer per environment");
  const layers = Object.entries(own).filter(([field]) => field.startsWith("$"));
  for (const [field] of layers) refuseUnknownLayer(file, field);
  for (const name of Object.keys(others)) refuseTypo(file, name, environment);
  refuseMissingLayer(file, environment, [...layers.map(([field]) => field.slice(1)), ...Object.keys(others)]);
  const common = Object.fromEntries(Object.entries(own).filter(([field]) => !field.startsWith("$")));
  const found: ReadLayer[] = [{ config: common, location: { file } }];
  for (const layer of [own[`$${environment}`], others[environment]]) {
    if (isPlain(layer)) found.push({ config: layer, location: { file, layer: environment } });
    else if (layer !== undefined) throw invalidConfig(file, `$${environment}`, "expected an object");
  }
  return found;
}

function refuseUnknownLayer(file: string, field: string): void {
  const known = ENVIRONMENTS.map((name) => `$${name}`);
  if (known.includes(field as (typeof known)[number])) return;
  const near = didYouMean(nearMisses(field, [...known, LAYERS]));
  const message = `is not a layer; use ${known.join(", ")}, or \`${LAYERS}\` for other environments${near}`;
  throw invalidConfig(file, field, message);
}

/** Any name can be an environment, so only a near miss of a known one counts as a typo. */
function refuseTypo(file: string, name: string, environment: string): void {
  if (name === environment || ENVIRONMENTS.some((known) => known === name)) return;
  const near = nearMisses(name, ENVIRONMENTS);
  if (near.length > 0) throw invalidConfig(file, `${LAYERS}.${name}`, `is not a known environment${didYouMean(near)}`);
}

function refuseMissingLayer(file: string, environment: string, layers: readonly string[]): void {
  if (layers.includes(environment) || ENVIRONMENTS.some((name) => name === environment)) return;
  const near = nearMisses(environment, layers);
  if (near.length === 0) return;
  const message = `no layer for the environment ${JSON.stringify(environment)}${didYouMean(near)}`;
  throw invalidConfig(file, "NODE_ENV", message);
}

function invalidConfig(file: string, field: string, message: string): CastellanError<"INVALID_OPTIONS"> {
  return invalidOptions(`configuration ${file}`, [{ field, message }]);
}

/** Resolves the references in a value and keeps the locations of its objects. */
function resolveWithLocations(
  value: unknown,
  field: string,
  locations: ConfigLocations,
  resolution: Parameters<typeof resolveReferences>[2],
): unknown {
  if (Array.isArray(value))
    return value.map((item, index) => resolveWithLocations(item, `${field}[${index}]`, locations, resolution));
  if (!isPlain(value) || !locations.has(value)) return resolveReferences(value, field, resolution);
  const entries = Object.entries(value).map(([name, part]) => {
    const path = field === "" ? name : `${field}.${name}`;
    // Objects that the layers merge field by field, and children, have their own locations.
    const deep = (isPlain(part) && locations.has(part)) || name === "children";
    if (deep) return [name, resolveWithLocations(part, path, locations, resolution)];
    const whole = resolveReferences({ [name]: part }, field, resolution) as Record<string, unknown>;
    return [name, whole[name]];
  });
  const settled = Object.fromEntries(entries.filter(([, part]) => part !== undefined));
  setConfigLocations(settled, locations.get(value) ?? new Map());
  return settled;
}

/** How often each file has been loaded: Node loads a module once per URL. */
const times = new Map<string, number>();

/** Node's error for TypeScript that it cannot strip, such as enums. */
const NOT_ERASABLE = "ERR_UNSUPPORTED_TYPESCRIPT_SYNTAX";

/**
 * Returns a loader for c12 that imports files with Node, so that they share the application's modules, and reads them anew each
 * time, where c12's own loader caches them.
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

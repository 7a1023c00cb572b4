import type { CapacityOptions } from "../application/options/capacity-options.ts";
import type { SubtreeOptions, WorkerOptions } from "../application/options/child-options.ts";
import type { SupervisorOptions } from "../application/options/supervisor-options.ts";
import type { TemplateOptions } from "../application/options/template.ts";
import type { ClusterOptions } from "../cluster/cluster-options.ts";
import type { PoolOptions } from "../pool/pool-options.ts";
import type { SessionDefaults, SessionOptions } from "../session/options/options.ts";
import type { EnvReference } from "./env-reference.ts";

/** Options, each of which may refer to an environment variable. */
export type Configurable<Options extends object> = {
  [Name in keyof Options]: Name extends "env"
    ? { [variable: string]: string | EnvReference | undefined }
    : Options[Name] | EnvReference;
};

/** A child in a config file. */
export type ConfiguredChild =
  | Configurable<SessionOptions>
  | (Configurable<Omit<TemplateOptions, "sessions" | "template">> & {
      template: TemplateOptions["template"];
      sessions: Configurable<SessionDefaults> | TemplateOptions["sessions"];
    })
  | Configurable<PoolOptions>
  | (Omit<SubtreeOptions, "children" | "defaults"> & {
      children: readonly ConfiguredChild[];
      defaults?: Configurable<SessionDefaults>;
    })
  | WorkerOptions;

/** The options of a supervisor and its children. */
export interface ConfigLayer
  extends Omit<Configurable<SupervisorOptions>, "defaults" | "capacity" | "cluster" | "journal"> {
  children?: readonly ConfiguredChild[];
  defaults?: Configurable<SessionDefaults>;
  capacity?: Configurable<CapacityOptions>;
  cluster?: Configurable<ClusterOptions>;
  journal?: SupervisorOptions["journal"] | { sqlite: EnvReference } | { postgres: EnvReference; schema?: string };
}

/**
 * The content of a config file. The top level holds for every environment. A layer for one environment overrides it: options one
 * by one, including those of `defaults` and `capacity`, and children by name.
 */
export interface CastellanConfig extends ConfigLayer {
  /** Config files that this one overrides, relative to its folder. */
  extends?: string | readonly string[];
  $development?: ConfigLayer;
  $test?: ConfigLayer;
  $production?: ConfigLayer;
  /** Layers for other values of `NODE_ENV`. */
  $env?: { [environment: string]: ConfigLayer };
}

/**
 * Returns a config unchanged, with its types checked: the default export of `castellan.config.ts`, see {@link startFromConfig}.
 *
 * @example
 * export default defineConfig({
 *   children: [{ name: "assistant", model: { env: "ASSISTANT_MODEL", default: "claude-sonnet-5" } }],
 *   defaults: { timeout: "2m" },
 *   $production: { journal: { postgres: { env: "DATABASE_URL" } }, capacity: { maxProcesses: 16 } },
 * });
 */
export function defineConfig(config: CastellanConfig): CastellanConfig {
  return config;
}

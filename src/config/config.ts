import type { CapacityOptions } from "../application/options/capacity-options.ts";
import type { SubtreeOptions, WorkerOptions } from "../application/options/child-options.ts";
import type { SupervisorOptions } from "../application/options/supervisor-options.ts";
import type { TemplateOptions } from "../application/options/template.ts";
import type { PoolOptions } from "../pool/pool-options.ts";
import type { SessionDefaults, SessionOptions } from "../session/options/options.ts";
import type { EnvReference } from "./env-reference.ts";

/** Options any of which may be the value of an environment variable. */
export type Configurable<Options extends object> = {
  [Name in keyof Options]: Name extends "env"
    ? { [variable: string]: string | EnvReference | undefined }
    : Options[Name] | EnvReference;
};

/** A child as it may stand in a configuration. */
export type ConfiguredChild =
  | Configurable<SessionOptions>
  | (Configurable<Omit<TemplateOptions, "sessions" | "template">> & {
      template: string;
      sessions: Configurable<SessionDefaults> | TemplateOptions["sessions"];
    })
  | Configurable<PoolOptions>
  | (Omit<SubtreeOptions, "children" | "defaults"> & {
      children: readonly ConfiguredChild[];
      defaults?: Configurable<SessionDefaults>;
    })
  | WorkerOptions;

/** What a supervisor is started with: its options, and its children. */
export interface ConfigLayer extends Omit<Configurable<SupervisorOptions>, "defaults" | "capacity" | "journal"> {
  children?: readonly ConfiguredChild[];
  defaults?: Configurable<SessionDefaults>;
  capacity?: Configurable<CapacityOptions>;
  journal?: SupervisorOptions["journal"] | { sqlite: EnvReference } | { postgres: EnvReference; schema?: string };
}

/**
 * What stands in a file of configuration. What is the same everywhere stands at the top; a layer for one environment goes over
 * it: options one by one, those of `defaults` and `capacity` too, and children by their names.
 */
export interface CastellanConfig extends ConfigLayer {
  /** Files of configuration that this one goes over, from its folder. */
  extends?: string | readonly string[];
  $development?: ConfigLayer;
  $test?: ConfigLayer;
  $production?: ConfigLayer;
  /** Layers for environments of other names: what `NODE_ENV` says. */
  $env?: { [environment: string]: ConfigLayer };
}

/**
 * A configuration, with its types checked. It is the default export of `castellan.config.ts`, see {@link startFromConfig}.
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

import { isDeepStrictEqual } from "node:util";
import type { ChildOptions } from "../application/options/child-options.ts";
import type { SupervisorOptions } from "../application/options/supervisor-options.ts";
import { Supervisor } from "../application/supervisor.ts";
import type { ReconcileReport } from "../application/tree/supervisor-reports.ts";
import { CastellanError } from "../errors.ts";
import { overrideConfigured } from "../session/options/config-location.ts";
import { type ConfigSource, environmentOf, type LoadedConfig, loadConfig } from "./load-config.ts";
import { type ConfigSnapshot, ConfigWatch, readSnapshot } from "./watch-config.ts";

/** The result of a config change while the supervisor runs. */
export type ConfigChange =
  | {
      readonly applied: true;
      readonly report: ReconcileReport;
      /** Changed supervisor options that take effect when the supervisor next starts. */
      readonly afterRestart: readonly string[];
    }
  /** The new config is invalid; the last valid one stays in effect. */
  | { readonly applied: false; readonly error: CastellanError };

/** Options for starting a supervisor from a config file. */
export interface FromConfigOptions extends ConfigSource {
  /** Additional children, after those of the file. */
  children?: readonly ChildOptions[];
  /** Supervisor options that override those of the file; `defaults` and `capacity` override field by field. */
  options?: SupervisorOptions;
  /**
   * Whether to watch the file and reconcile its changes. Files that it imports are not watched. Default: true in the environment
   * `"development"`.
   */
  watch?: boolean;
  /** Called when a change of the file has been applied or rejected. Default: log it with the supervisor's `logger`. */
  onChange?: (change: ConfigChange) => void;
}

/**
 * Starts a supervisor from `castellan.config.ts`, see {@link defineConfig}. `inspect()` shows the file, layer and environment
 * variable of each option.
 *
 * @throws CastellanError `INVALID_OPTIONS` if there is no file, it cannot be read, a variable is not set, or an option is
 * invalid; otherwise as {@link Supervisor.start}
 * @example
 * await using supervisor = await startFromConfig();
 */
export async function startFromConfig(options: FromConfigOptions = {}): Promise<Supervisor> {
  const { watch = environmentOf(options) === "development" } = options;
  if (!watch) return await Supervisor.start(...startArguments(await loadConfig(options), options));
  const first = await readSnapshot(options);
  const supervisor = await Supervisor.start(...startArguments(first.loaded, options));
  applyChanges(supervisor, first, options);
  return supervisor;
}

function startArguments(
  { children, options }: LoadedConfig,
  { children: more = [], options: own = {} }: FromConfigOptions,
): [readonly ChildOptions[], SupervisorOptions] {
  return [
    [...children, ...more],
    overrideConfigured(options, {
      ...own,
      defaults: overrideConfigured(options.defaults ?? {}, own.defaults ?? {}),
      capacity: overrideConfigured(options.capacity ?? {}, own.capacity ?? {}),
    }),
  ];
}

/** Applies changes of the config until the supervisor ends. */
function applyChanges(supervisor: Supervisor, first: ConfigSnapshot, source: FromConfigOptions): void {
  const tell = source.onChange ?? logChanges(source.options?.logger ?? first.loaded.options.logger);
  let last = first.loaded;
  const apply = async (next: LoadedConfig): Promise<ConfigChange> => {
    const [children, options] = startArguments(next, source);
    const report = await supervisor.reconcile(children, { defaults: options.defaults ?? {} });
    const afterRestart = changedOptions(startArguments(last, source)[1], options);
    last = next;
    return { applied: true, report, afterRestart };
  };
  const watch = new ConfigWatch(first, source, async () => {
    let read: ConfigSnapshot | undefined;
    try {
      read = await readSnapshot(source);
      tell(await apply(read.loaded));
    } catch (error) {
      if (!CastellanError.is(error)) throw error;
      tell({ applied: false, error });
    }
    return read;
  });
  void supervisor.closed.then(() => watch.stop());
}

function logChanges(logger: SupervisorOptions["logger"]): (change: ConfigChange) => void {
  return (change) => {
    if (!change.applied) {
      logger?.warn(`The configuration has changed and was not applied: ${change.error.message}`);
      return;
    }
    const { added, removed, changed, failed } = change.report;
    const counts = `${added.length} added, ${removed.length} removed, ${changed.length} changed, ${failed.length} failed`;
    logger?.info(`The configuration has changed: ${counts}`);
    if (change.afterRestart.length > 0) {
      logger?.warn(`Changed options that take effect at the next start: ${change.afterRestart.join(", ")}`);
    }
  };
}

/** Returns the supervisor options, besides `defaults`, that differ. */
function changedOptions(before: SupervisorOptions, after: SupervisorOptions): string[] {
  const names = new Set([...Object.keys(before), ...Object.keys(after)]) as Set<keyof SupervisorOptions>;
  return [...names].filter((name) => name !== "defaults" && !isDeepStrictEqual(before[name], after[name]));
}

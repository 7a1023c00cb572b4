import { isDeepStrictEqual } from "node:util";
import type { ChildOptions } from "../application/options/child-options.ts";
import type { SupervisorOptions } from "../application/options/supervisor-options.ts";
import { Supervisor } from "../application/supervisor.ts";
import type { ReconcileReport } from "../application/tree/supervisor-reports.ts";
import { CastellanError } from "../errors.ts";
import { overrideConfigured } from "../session/options/config-location.ts";
import { type ConfigSource, environmentOf, type LoadedConfig, loadConfig } from "./load-config.ts";
import { ConfigWatch, readSteadily, type SteadyConfig } from "./watch-config.ts";

/** What came of a change of the configuration while the supervisor ran. */
export type ConfigChange =
  | {
      readonly applied: true;
      readonly report: ReconcileReport;
      /** Options of the supervisor that have changed and count from its next start on. */
      readonly afterRestart: readonly string[];
    }
  /** Nothing has changed, and the last configuration that was right goes on. */
  | { readonly applied: false; readonly error: CastellanError };

/** How a supervisor is started from a file of configuration. */
export interface FromConfigOptions extends ConfigSource {
  /** Further children, after those of the file. */
  children?: readonly ChildOptions[];
  /** Options of the supervisor that go over those of the file, those of `defaults` and `capacity` one by one. */
  options?: SupervisorOptions;
  /**
   * Whether the file is watched and what changes in it is applied as `reconcile` does. Default: in the environment
   * `"development"`. Files that it imports are not watched.
   */
  watch?: boolean;
  /** Told when a change of the file has been applied, or could not be. Default: the supervisor's `logger` is. */
  onChange?: (change: ConfigChange) => void;
}

/**
 * Starts a supervisor with what stands in `castellan.config.ts`, see {@link defineConfig}. `inspect()` shows of each option in
 * which file and layer it stands, and from which variable its value came.
 *
 * @throws CastellanError `INVALID_OPTIONS` if there is no file, it cannot be read, a variable is not set, or what stands in it is
 * wrong; besides what {@link Supervisor.start} throws
 * @example
 * await using supervisor = await startFromConfig();
 */
export async function startFromConfig(options: FromConfigOptions = {}): Promise<Supervisor> {
  const { watch = environmentOf(options) === "development" } = options;
  if (!watch) return await Supervisor.start(...started(await loadConfig(options), options));
  const first = await readSteadily(options);
  const supervisor = await Supervisor.start(...started(first.loaded, options));
  watched(supervisor, first, options);
  return supervisor;
}

function started(
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

/** Applies what changes until the supervisor ends. */
function watched(supervisor: Supervisor, first: SteadyConfig, source: FromConfigOptions): void {
  const tell = source.onChange ?? logged(source.options?.logger ?? first.loaded.options.logger);
  let last = first.loaded;
  const apply = async (next: LoadedConfig): Promise<ConfigChange> => {
    const [children, options] = started(next, source);
    const report = await supervisor.reconcile(children, { defaults: options.defaults ?? {} });
    const afterRestart = changedOptions(started(last, source)[1], options);
    last = next;
    return { applied: true, report, afterRestart };
  };
  const watch = new ConfigWatch(first, source, async () => {
    let read: SteadyConfig | undefined;
    try {
      read = await readSteadily(source);
      tell(await apply(read.loaded));
    } catch (error) {
      if (!CastellanError.is(error)) throw error;
      tell({ applied: false, error });
    }
    return read;
  });
  void supervisor.closed.then(() => watch.stop());
}

function logged(logger: SupervisorOptions["logger"]): (change: ConfigChange) => void {
  return (change) => {
    if (!change.applied) {
      logger?.warn(`the configuration has changed and is not applied: ${change.error.message}`);
      return;
    }
    const { added, removed, changed, failed } = change.report;
    const counts = `${added.length} added, ${removed.length} removed, ${changed.length} changed, ${failed.length} failed`;
    logger?.info(`the configuration has changed: ${counts}`);
    if (change.afterRestart.length > 0) {
      logger?.warn(
        `the configuration has changed in what counts from the next start on: ${change.afterRestart.join(", ")}`,
      );
    }
  };
}

/** The options of a supervisor, besides `defaults`, in which `after` differs. */
function changedOptions(before: SupervisorOptions, after: SupervisorOptions): string[] {
  const names = new Set([...Object.keys(before), ...Object.keys(after)]) as Set<keyof SupervisorOptions>;
  return [...names].filter((name) => name !== "defaults" && !isDeepStrictEqual(before[name], after[name]));
}

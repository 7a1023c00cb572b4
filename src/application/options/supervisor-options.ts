import { z } from "zod";
import { type ClusterOptions, type ClusterSettings, clusterSettings } from "../../cluster/cluster-options.ts";
import { withoutUndefined } from "../../fields.ts";
import type { Budget } from "../../session/options/budget.ts";
import type { SessionDefaults } from "../../session/options/options.ts";
import { checkSessionDefaults } from "../../session/options/session-settings.ts";
import { budgetSchema, validate } from "../../session/options/validation.ts";
import type { AutoShutdown, Strategy, SupervisorSpec } from "../../supervision/supervisor-spec.ts";
import { type WebhookOptions, type WebhookSettings, webhookSettings } from "../../webhooks/webhook-options.ts";
import { type CapacityOptions, type CapacitySettings, capacitySettings } from "./capacity-options.ts";
import { checkJournal, type JournalOptions } from "./journal-options.ts";
import { processDefaults } from "./process-defaults.ts";

/** The origin of session options. */
export interface OptionOwner {
  /** `process`: installed for all supervisors of the process, for example by tests. */
  readonly kind: "session" | "template" | "pool" | "supervisor" | "process";
  /** Absent for a session's own options, an unnamed supervisor and the process. */
  readonly name?: string | undefined;
}

/** The options of one owner. Later layers override earlier ones. */
export interface OptionLayer {
  readonly owner: OptionOwner;
  readonly options: object;
}

/** Where a supervisor logs. `console` and pino both fit. */
export interface Logger {
  /** Logs a normal event. */
  info(message: string): void;
  /** Logs an event that needs attention. */
  warn(message: string): void;
}

/** Logs a warning, as a process warning with `code` if there is no logger. */
export function logWarning(logger: Logger | undefined, code: string, message: string): void {
  if (logger === undefined) process.emitWarning(message, { type: "CastellanWarning", code });
  else logger.warn(message);
}

/** How a supervisor manages its children, as in OTP. */
export interface TreeOptions {
  /** Which siblings restart together with a child that ended. Default `"one_for_one"`. */
  strategy?: Strategy;
  /** The maximum number of restarts within `maxSeconds`. Default 3. */
  maxRestarts?: number;
  /** Default 5. */
  maxSeconds?: number;
  /**
   * What happens on more restarts than that, on an exit that no restart can fix, or after more than `maxRestarts` (and at least
   * six) failed starts in a row. `"quarantine"`: the supervisor quarantines the child and keeps the others running. `"escalate"`,
   * as in OTP: the supervisor stops its children and ends; its own supervisor decides. Default `"quarantine"`.
   */
  onMaxRestarts?: "quarantine" | "escalate";
  /** Whether the supervisor stops when its `significant` children end. Default `"never"`. */
  autoShutdown?: AutoShutdown;
  /** The maximum number of children, running or not. Default: no limit. */
  maxChildren?: number;
}

/** The options of a supervisor. */
export interface SupervisorOptions extends TreeOptions {
  /** The name in messages and lists. Default `"supervisor-1"`, `"supervisor-2"`, … */
  name?: string;
  /** Session options for every session. A session's own options override them. */
  defaults?: SessionDefaults;
  /**
   * Where sessions, turns and costs are stored so that they outlive the application: `{ sqlite: path }`, `{ postgres: url }`,
   * `"memory"` for nowhere, or a journal of your own. Supervisors of one process can share a journal; a second process is
   * rejected. Default: the environment variable `CASTELLAN_JOURNAL` (`memory`, a path or a URL), else the file
   * `.castellan/castellan.db` in the working directory.
   */
  journal?: JournalOptions;
  /**
   * How much all its sessions together may spend, in the form of a session's `budget`. Spending counts per supervisor name;
   * unnamed supervisors share one account. Default: no limit.
   */
  budget?: Budget;
  /**
   * What {@link Supervisor.start} does if a child, at any depth, is quarantined instead of starting. `"quarantine"`: keeps the
   * others running; {@link Supervisor.notStarted} lists the failures. `"throw"`, as in OTP: stops everything again and rejects
   * with `CHILD_START_FAILED`. `maxRestarts` limits the tries of each start. Children that are started later are not affected.
   * Default `"quarantine"`.
   */
  onStartFailure?: "quarantine" | "throw";
  /** Limits on the processes of all its sessions together. Default: one process per session. */
  capacity?: CapacityOptions;
  /**
   * Makes the application a node of a cluster. `global` names exist once across all nodes and survive the loss of a machine.
   * Needs the package `pg`. Default: no cluster.
   */
  cluster?: ClusterOptions;
  /**
   * Endpoints that get a signed request when a turn ends and when an approval is requested or settled: each event at least once,
   * also if the application is killed in between. Events from before an endpoint was added are not sent. Default: none.
   */
  webhooks?: readonly WebhookOptions[];
  /** Gets a line for each restart and each quarantined child. Default: quarantined children become process warnings. */
  logger?: Logger;
}

/** The validated options with their defaults; `tree` holds those of {@link TreeOptions}. */
export interface SupervisorSettings {
  readonly name: string | undefined;
  /** The options as they were given. */
  readonly given: SupervisorOptions;
  readonly tree: SupervisorSpec;
  readonly defaults: SessionDefaults;
  /** The same, as layers of session options. */
  readonly layers: readonly OptionLayer[];
  readonly journal: JournalOptions;
  readonly budget: Budget | undefined;
  readonly onStartFailure: "quarantine" | "throw";
  readonly capacity: CapacitySettings;
  readonly cluster: ClusterSettings | undefined;
  readonly webhooks: readonly WebhookSettings[];
  readonly logger: Logger | undefined;
}

/** The schemas of {@link TreeOptions}. */
export const treeShape: { readonly [Name in keyof TreeOptions]-?: z.ZodType<TreeOptions[Name]> } = {
  strategy: z.enum(["one_for_one", "one_for_all", "rest_for_one"]).optional(),
  maxRestarts: z.int().nonnegative().optional(),
  maxSeconds: z.number().positive().optional(),
  onMaxRestarts: z.enum(["quarantine", "escalate"]).optional(),
  autoShutdown: z.enum(["never", "any_significant", "all_significant"]).optional(),
  maxChildren: z.int().positive().optional(),
};

const schema = z.strictObject({
  ...treeShape,
  name: z.string().min(1).optional(),
  defaults: z.looseObject({}).optional(),
  journal: z.unknown().optional(),
  budget: budgetSchema.optional(),
  onStartFailure: z.enum(["quarantine", "throw"]).optional(),
  capacity: z.unknown().optional(),
  cluster: z.unknown().optional(),
  webhooks: z.unknown().optional(),
  logger: z
    .custom<Logger>(
      (value) => typeof value === "object" && value !== null && ["info", "warn"].every((level) => level in value),
      "expected an object with the methods `info` and `warn`",
    )
    .optional(),
});

/** Returns the settings with other session defaults. @throws CastellanError `INVALID_OPTIONS` */
export function withDefaults(settings: SupervisorSettings, defaults: SessionDefaults): SupervisorSettings {
  const checked = checkSessionDefaults(defaults, "supervisor");
  const installed = processDefaults();
  return { ...settings, defaults: { ...installed, ...checked }, layers: layersOf(settings.name, installed, checked) };
}

function layersOf(name: string | undefined, installed: SessionDefaults, own: SessionDefaults): OptionLayer[] {
  return [
    { owner: { kind: "process" }, options: installed },
    { owner: { kind: "supervisor", name }, options: own },
  ];
}

/** Validates a supervisor's options and applies their defaults. @throws CastellanError `INVALID_OPTIONS` */
export function supervisorSettings(options: SupervisorOptions): SupervisorSettings {
  const {
    name,
    defaults: _defaults,
    journal: _,
    capacity: _own,
    cluster: _cluster,
    webhooks: _webhooks,
    budget,
    onStartFailure = "quarantine",
    logger,
    ...tree
  } = validate(schema, options, "supervisor");
  const checked = checkSessionDefaults(options.defaults ?? {}, "supervisor");
  const installed = processDefaults();
  return {
    name,
    given: options,
    tree: withoutUndefined(tree),
    defaults: { ...installed, ...checked },
    layers: layersOf(name, installed, checked),
    journal: checkJournal(options.journal),
    capacity: capacitySettings(options.capacity),
    budget: budget === undefined ? undefined : withoutUndefined(budget),
    onStartFailure,
    cluster: options.cluster === undefined ? undefined : clusterSettings(options.cluster),
    webhooks: options.webhooks === undefined ? [] : webhookSettings(options.webhooks),
    logger,
  };
}

import { z } from "zod";
import { type ClusterOptions, type ClusterSettings, clusterSettings } from "../../cluster/cluster-options.ts";
import { withoutUndefined } from "../../fields.ts";
import type { Budget } from "../../session/options/budget.ts";
import type { SessionDefaults } from "../../session/options/options.ts";
import { checkSessionDefaults } from "../../session/options/session-settings.ts";
import { budgetSchema, validate } from "../../session/options/validation.ts";
import type { AutoShutdown, Strategy, SupervisorSpec } from "../../supervision/supervisor-spec.ts";
import { type CapacityOptions, type CapacitySettings, capacitySettings } from "./capacity-options.ts";
import { checkJournal, type JournalOptions } from "./journal-options.ts";
import { processDefaults } from "./process-defaults.ts";

/** Who gives options to a session. */
export interface OptionOwner {
  /** `process`: installed for all supervisors of the process, as tests do. */
  readonly kind: "session" | "template" | "pool" | "supervisor" | "process";
  /** Not of a session, whose own they are, nor of a supervisor that has none, nor of the process. */
  readonly name?: string | undefined;
}

/** The options that one of them gives. Of several layers the later ones go over the earlier ones. */
export interface OptionLayer {
  readonly owner: OptionOwner;
  readonly options: object;
}

/** Where a supervisor reports what its owner may want to know. `console` and pino both are one. */
export interface Logger {
  /** Takes what is in order. */
  info(message: string): void;
  /** Takes what somebody should look at. */
  warn(message: string): void;
}

/** How a supervisor keeps its children, as in OTP. */
export interface TreeOptions {
  /** Who else is restarted when a child ends. Default `"one_for_one"`. */
  strategy?: Strategy;
  /** How many restarts within `maxSeconds` are borne. Default 3. */
  maxRestarts?: number;
  /** Default 5. */
  maxSeconds?: number;
  /**
   * What happens when there are more, when no restart would mend a child, or when more than five starts of it in a row, and more than
   * `maxRestarts`, have failed. `"quarantine"` quarantines the child, and the others go on; `"escalate"`, as in OTP, stops them all and
   * ends the supervisor, and the one above it decides. Default `"quarantine"`.
   */
  onMaxRestarts?: "quarantine" | "escalate";
  /** Whether the supervisor ends by itself when children that are `significant` do. Default `"never"`. */
  autoShutdown?: AutoShutdown;
  /** How many children it may have at a time, running or not. Default: no limit. */
  maxChildren?: number;
}

/** The options of a supervisor. */
export interface SupervisorOptions extends TreeOptions {
  /** For messages and lists. Default `"supervisor-1"`, `"supervisor-2"`, … */
  name?: string;
  /** Session options that hold for every session unless it says otherwise. */
  defaults?: SessionDefaults;
  /**
   * Where sessions, turns and costs are written down, so that they outlive the application: `{ sqlite: path }`,
   * `{ postgres: url }`, `"memory"` for not at all, or a journal of your own. Supervisors of one process may share a journal;
   * another process is refused. Default: what the environment variable `CASTELLAN_JOURNAL` says (`memory`, a path or a URL),
   * or the file `.castellan/castellan.db` in the working directory.
   */
  journal?: JournalOptions;
  /**
   * How much all its sessions together may spend, as `budget` of a session. What counts is what this supervisor, by its name,
   * has spent; supervisors without a name count together. Default: no limit.
   */
  budget?: Budget;
  /**
   * What a start does if a child, here or below, is quarantined instead of coming up. `"quarantine"`: the others go on, and
   * {@link Supervisor.notStarted} says which and why. `"throw"`, as in OTP: all that is up is stopped again, and
   * {@link Supervisor.start} rejects with `CHILD_START_FAILED`. How often a start is tried `maxRestarts` says. Later starts of children
   * are none of its business. Default `"quarantine"`.
   */
  onStartFailure?: "quarantine" | "throw";
  /** How many processes all its sessions together may have. Default: as many as there are sessions. */
  capacity?: CapacityOptions;
  /**
   * Makes the application a node of a cluster, in which names that are `global` are there once on all nodes together, and survive
   * the machine that they are on. Needs the package `pg`. Default: it is alone.
   */
  cluster?: ClusterOptions;
  /** Gets a line for each restart and for each child that is quarantined. Default: the latter become process warnings. */
  logger?: Logger;
}

/** The options with their defaults; what is the tree's own is in `tree`. */
export interface SupervisorSettings {
  readonly name: string | undefined;
  /** As they were given. */
  readonly given: SupervisorOptions;
  readonly tree: SupervisorSpec;
  readonly defaults: SessionDefaults;
  /** The same, as the layer that they are for sessions. */
  readonly layers: readonly OptionLayer[];
  readonly journal: JournalOptions;
  readonly budget: Budget | undefined;
  readonly onStartFailure: "quarantine" | "throw";
  readonly capacity: CapacitySettings;
  readonly cluster: ClusterSettings | undefined;
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
  logger: z
    .custom<Logger>(
      (value) => typeof value === "object" && value !== null && ["info", "warn"].every((level) => level in value),
      "expected an object with the methods `info` and `warn`",
    )
    .optional(),
});

/** The same, with other defaults for the sessions. @throws CastellanError `INVALID_OPTIONS` */
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

/** @throws CastellanError `INVALID_OPTIONS` */
export function supervisorSettings(options: SupervisorOptions): SupervisorSettings {
  const {
    name,
    defaults: _defaults,
    journal: _,
    capacity: _own,
    cluster: _cluster,
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
    logger,
  };
}

import { z } from "zod";
import { checkSessionDefaults, type SessionDefaults } from "../session/options.ts";
import { validate } from "../session/validation.ts";
import type { AutoShutdown, Strategy, SupervisorSpec } from "../supervision/supervisor-spec.ts";

/** Where a supervisor reports what its owner may want to know. `console` and pino both are one. */
export interface Logger {
  info(message: string): void;
  warn(message: string): void;
}

/** The options of a supervisor. */
export interface SupervisorOptions {
  /** For messages and lists. Default `"supervisor-1"`, `"supervisor-2"`, … */
  name?: string;
  /** Who else is restarted when the process of a session dies, as in OTP. Default `"one_for_one"`. */
  strategy?: Strategy;
  /** How many restarts within `maxSeconds` are borne. Default 3. */
  maxRestarts?: number;
  /** Default 5. */
  maxSeconds?: number;
  /**
   * What happens when there are more. `"quarantine"` sets the session aside, and the others go on; `"escalate"`, as in
   * OTP, stops them all and ends the supervisor. Default `"quarantine"`.
   */
  onMaxRestarts?: "quarantine" | "escalate";
  /** Whether the supervisor ends by itself when sessions that are `significant` do. Default `"never"`. */
  autoShutdown?: AutoShutdown;
  /** Session options that hold for every session unless it says otherwise. */
  defaults?: SessionDefaults;
  /** Gets a line for each restart and for each session that is set aside. Default: the latter become process warnings. */
  logger?: Logger;
}

/** The options with their defaults; what is the tree's own is in `tree`. */
export interface SupervisorSettings {
  readonly name: string | undefined;
  readonly tree: SupervisorSpec;
  readonly defaults: SessionDefaults;
  readonly logger: Logger | undefined;
}

const schema = z.strictObject({
  name: z.string().min(1).optional(),
  strategy: z.enum(["one_for_one", "one_for_all", "rest_for_one"]).optional(),
  maxRestarts: z.int().nonnegative().optional(),
  maxSeconds: z.number().positive().optional(),
  onMaxRestarts: z.enum(["quarantine", "escalate"]).optional(),
  autoShutdown: z.enum(["never", "any_significant", "all_significant"]).optional(),
  defaults: z.looseObject({}).optional(),
  logger: z
    .custom<Logger>(
      (value) => typeof value === "object" && value !== null && ["info", "warn"].every((level) => level in value),
      "expected an object with the methods `info` and `warn`",
    )
    .optional(),
});

/** @throws CastellanError `INVALID_OPTIONS` */
export function supervisorSettings(options: SupervisorOptions): SupervisorSettings {
  const { name, defaults, logger, ...tree } = validate(schema, options, "supervisor");
  const checked = defaults === undefined ? {} : checkSessionDefaults(defaults, "supervisor");
  return { name, tree: withoutUndefined(tree), defaults: checked, logger };
}

function withoutUndefined<Fields extends object>(
  fields: Fields,
): { [Name in keyof Fields]: Exclude<Fields[Name], undefined> } {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as {
    [Name in keyof Fields]: Exclude<Fields[Name], undefined>;
  };
}

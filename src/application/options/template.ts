import { z } from "zod";
import type { Duration } from "../../duration.ts";
import type { SessionName } from "../../names.ts";
import { type GlobalName, refuseGlobalName } from "../../session/options/global-name.ts";
import type { SessionDefaults } from "../../session/options/options.ts";
import { checkSessionDefaults } from "../../session/options/session-settings.ts";
import { durationSchema, invalidOptions, validate } from "../../session/options/validation.ts";

/** The parts of a session's name after the template's name, as its function takes them. */
export type TemplateKey = readonly (string | number | undefined)[];

/** The options of a template's sessions: the same for all, or a function of the session's key. */
export type TemplateSessions<Key extends TemplateKey = TemplateKey> =
  | SessionDefaults
  | ((...key: Key) => SessionDefaults);

/** How a template manages its sessions. */
export interface TemplateLimits {
  /**
   * How many sessions may be in memory. At the limit, the template evicts the session that has hibernated longest: its
   * conversation stays in the journal, and its name brings it back. Default 10,000. Not for a global template.
   */
  maxSessions?: number;
  /**
   * How many hibernated sessions stay in memory, at about 10 kB each. Above that, the template evicts those that have hibernated
   * longest before their `retention` ends. Default 1,000.
   */
  maxHibernated?: number;
  /** How long a session hibernates before the template evicts it. A session whose events somebody reads stays. Default `"5m"`. */
  retention?: Duration;
}

/** A family of sessions as a child of a supervisor; made by {@link template}. */
export interface TemplateOptions extends TemplateLimits {
  /** The first part of the names of its sessions. */
  template: string | GlobalName;
  sessions: TemplateSessions<never>;
}

/**
 * Makes a family of sessions that are created when they are first named: `[name, ...key]`. Each has its own conversation, which
 * it resumes after a restart of the application. A session starts its process with its first turn, or at once with
 * `activation: "eager"`.
 *
 * A template evicts sessions that have hibernated for a while: nothing of them stays in memory, their conversation stays in the
 * journal, and their name or a handle brings them back. Of earlier turns an evicted session keeps the results, not the messages.
 * A session whose options a call such as `setModel` has changed is never evicted.
 *
 * @example
 * await Supervisor.start([template("support", (userId: number) => ({ systemPrompt: `You help user ${userId}` }))]);
 * await query(["support", 42], "Hello");
 */
export function template<Key extends TemplateKey>(
  name: string | GlobalName,
  sessions: TemplateSessions<Key> = {},
  limits: TemplateLimits = {},
): TemplateOptions {
  return { ...limits, template: name, sessions: sessions as TemplateSessions<never> };
}

/** {@link TemplateOptions} with their defaults. */
export interface TemplateSettings {
  readonly name: string;
  readonly maxSessions: number;
  readonly maxHibernated: number;
  readonly retentionMs: number;
  /** Whether all sessions have the same options. */
  readonly alike: boolean;
  /** Returns the options of the session with this name. @throws CastellanError `INVALID_OPTIONS` if the function returns none */
  optionsOf(name: SessionName): SessionDefaults;
}

const schema = z.strictObject({
  template: z.string().min(1),
  sessions: z.custom<TemplateSessions>(
    (value) => typeof value === "function" || (typeof value === "object" && value !== null && !Array.isArray(value)),
    "expected session options, or a function that returns them for a key",
  ),
  maxSessions: z.int().positive().default(10_000),
  maxHibernated: z.int().nonnegative().default(1_000),
  retention: durationSchema.default(5 * 60_000),
});

/**
 * Validates the options of a template and applies their defaults.
 *
 * @param at the path of the template in the options, for messages
 * @throws CastellanError `INVALID_OPTIONS`
 */
export function templateSettings(options: TemplateOptions, at: string): TemplateSettings {
  refuseGlobalName(options.template, "template", at === "" ? "template" : `${at}.template`);
  const { template: name, sessions, retention, ...limits } = validate(schema, options, "template", at);
  const what = `template ${JSON.stringify(name)}`;
  if (typeof sessions !== "function") {
    const checked = checkSessionDefaults(sessions, what, at === "" ? "sessions" : `${at}.sessions`);
    return { name, ...limits, retentionMs: retention, alike: true, optionsOf: () => checked };
  }
  const optionsOf = (session: SessionName): SessionDefaults => {
    const made: unknown = sessions(...(typeof session === "string" ? [] : session.slice(1)));
    const isOptions = typeof made === "object" && made !== null && !("then" in made);
    if (isOptions) return made;
    const message = "expected a function that returns session options synchronously";
    throw invalidOptions(what, [{ field: "sessions", message }]);
  };
  return { name, ...limits, retentionMs: retention, alike: false, optionsOf };
}

import { z } from "zod";
import type { Duration } from "../../duration.ts";
import type { SessionName } from "../../names.ts";
import { type GlobalName, refuseGlobalName } from "../../session/options/global-name.ts";
import type { SessionDefaults } from "../../session/options/options.ts";
import { checkSessionDefaults } from "../../session/options/session-settings.ts";
import { durationSchema, invalidOptions, validate } from "../../session/options/validation.ts";

/** The parts of a session's name behind that of its template, as its function takes them. */
export type TemplateKey = readonly (string | number | undefined)[];

/** The options of the sessions of a template: the same for all, or what a function makes of each one's key. */
export type TemplateSessions<Key extends TemplateKey = TemplateKey> =
  | SessionDefaults
  | ((...key: Key) => SessionDefaults);

/** How the sessions of a template are kept. */
export interface TemplateKeeping {
  /**
   * How many may be in memory at a time. For one more, the one that has hibernated for longest is let go: its conversation
   * stays in the journal, and its name brings it back. Default 10,000. Not for a global template.
   */
  maxSessions?: number;
  /**
   * How many may hibernate in memory, at about 10 kB each; when there are more, those that have hibernated for longest are let
   * go before their `retention` is over. Default 1,000.
   */
  maxHibernated?: number;
  /** After how long of hibernation a session is let go, unless somebody reads its events. Default `"5m"`. */
  retention?: Duration;
}

/** A family of sessions as a child of a supervisor; made by {@link template}. */
export interface TemplateOptions extends TemplateKeeping {
  /** What the names of its sessions begin with. */
  template: string | GlobalName;
  sessions: TemplateSessions<never>;
}

/**
 * A family of sessions that come to life when they are first named: `[name, ...key]`. Each has a conversation of its own,
 * which it goes on with after a restart of the application. They have no process until they are asked something, unless
 * `activation` is `"eager"`.
 *
 * Sessions that have hibernated for a while are let go: nothing of them is in memory any more, their conversation stays in the
 * journal, and their name, or a handle of them, brings them back. Of their last turns there is then only what came of them, no
 * longer the messages. One whose options were changed by a call, such as `setModel`, stays.
 *
 * @example
 * await Supervisor.start([template("support", (userId: number) => ({ systemPrompt: `You help user ${userId}` }))]);
 * await query(["support", 42], "Hello");
 */
export function template<Key extends TemplateKey>(
  name: string | GlobalName,
  sessions: TemplateSessions<Key> = {},
  keeping: TemplateKeeping = {},
): TemplateOptions {
  return { ...keeping, template: name, sessions: sessions as TemplateSessions<never> };
}

/** {@link TemplateOptions} with their defaults. */
export interface TemplateSettings {
  readonly name: string;
  readonly maxSessions: number;
  readonly maxHibernated: number;
  readonly retentionMs: number;
  /** Whether the options are the same for all. */
  readonly alike: boolean;
  /** The options of the session of this key. @throws CastellanError `INVALID_OPTIONS` if it makes none */
  optionsOf(name: SessionName): SessionDefaults;
}

const schema = z.strictObject({
  template: z.string().min(1),
  sessions: z.custom<TemplateSessions>(
    (value) => typeof value === "function" || (typeof value === "object" && value !== null && !Array.isArray(value)),
    "expected options of a session, or a function that makes them of a key",
  ),
  maxSessions: z.int().positive().default(10_000),
  maxHibernated: z.int().nonnegative().default(1_000),
  retention: durationSchema.default(5 * 60_000),
});

/**
 * @param at where the template stands, for messages
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
    const message = "expected a function that returns options of a session, at once";
    throw invalidOptions(what, [{ field: "sessions", message }]);
  };
  return { name, ...limits, retentionMs: retention, alike: false, optionsOf };
}

import type { PermissionMode } from "@anthropic-ai/claude-agent-sdk";
import { withoutUndefined } from "../../fields.ts";
import { type ConfigLocation, configLocations } from "../../session/options/config-location.ts";
import { optionsOf, type SessionSettings } from "../../session/options/session-settings.ts";
import { JOURNAL_VARIABLE } from "../options/journal-options.ts";
import type { OptionLayer, OptionOwner, SupervisorSettings } from "../options/supervisor-options.ts";

/**
 * Where the value of an option comes from: the options of a session, template, pool or supervisor, possibly in a config file; a
 * call such as `setModel`; the conversation, in which a permission mode was entered; an environment variable; or Castellan's
 * default.
 */
export type OptionOrigin =
  | ({ readonly from: OptionOwner["kind"]; readonly name?: string } & { readonly configured?: ConfigLocation })
  | { readonly from: "call" }
  | { readonly from: "conversation" }
  | { readonly from: "environment"; readonly variable: string }
  | { readonly from: "built_in" };

/** The value of an option and its origin. */
export interface EffectiveOption {
  /** Durations are in milliseconds. Objects that may hold secrets appear as their field names, functions as `"[function]"`. */
  readonly value: unknown;
  readonly origin: OptionOrigin;
}

export type EffectiveOptions = Readonly<Record<string, EffectiveOption>>;

/** Options that Claude Code reads from its environment when they are not given. */
const IN_ENVIRONMENT = [
  { option: "apiKey", variables: ["ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN"] },
  { option: "model", variables: ["ANTHROPIC_MODEL"] },
] as const;

/** Fields that are not options of a session. */
const NO_OPTIONS: ReadonlySet<string> = new Set(["name", "signal", "abortController"]);

/**
 * Returns the options of a running session, with their origins.
 *
 * @param planned the settings that the supervisor was given
 * @param layers the layers of options that make up `planned`
 * @param now the current settings, which calls may have changed
 * @param mode the permission mode entered in the conversation, if it differs from the options
 * @param environment the environment of its process
 */
export function effectiveOptions(
  planned: SessionSettings,
  layers: readonly OptionLayer[],
  now: SessionSettings,
  mode: PermissionMode | undefined,
  environment: Readonly<Record<string, string>>,
): EffectiveOptions {
  const given = layers.flatMap(({ options }) => Object.entries(options));
  const values: Record<string, unknown> = { ...Object.fromEntries(given), ...optionsOf(now) };
  const found: Record<string, EffectiveOption> = {};
  for (const [option, value] of Object.entries(values)) {
    if (value === undefined || NO_OPTIONS.has(option)) continue;
    found[option] = { value: redact(option, value), origin: originOf(layers, option) };
  }
  // With `isolate`, the session's own directory overrides every `cwd`.
  if (now.ownDirectory !== undefined) found["cwd"] = { value: now.sdk.cwd, origin: originOf(layers, "isolate") };
  const { model } = now.sdk;
  if (model !== undefined && model !== planned.sdk.model) found["model"] = { value: model, origin: { from: "call" } };
  if (mode !== undefined) found["permissionMode"] = { value: mode, origin: { from: "conversation" } };
  for (const { option, variables } of IN_ENVIRONMENT) {
    const variable = variables.find((name) => environment[name] !== undefined);
    if (variable === undefined || found[option] !== undefined) continue;
    found[option] = {
      value: redact(option, environment[variable]),
      origin: { from: "environment", variable },
    };
  }
  return found;
}

/** Returns the origin of an option: the last layer that has a value for it. */
function originOf(layers: readonly OptionLayer[], option: string): OptionOrigin {
  const layer = layers.findLast(({ options }) =>
    Object.entries(options).some(([name, value]) => name === option && value !== undefined),
  );
  if (layer === undefined) return { from: "built_in" };
  const { kind, name } = layer.owner;
  const configured = configLocations(layer.options).get(option);
  return withoutUndefined({ from: kind, name, configured });
}

/** Formats an origin: `template "support", castellan.config.ts (production), variable MODEL`. */
export function describeOrigin(origin: OptionOrigin): string {
  switch (origin.from) {
    case "call":
      return "set by a call";
    case "conversation":
      return "entered in the conversation";
    case "environment":
      return `variable ${origin.variable}`;
    case "built_in":
      return "built in";
    default: {
      const { from, name, configured } = origin;
      const owner = name === undefined ? from : `${from} ${JSON.stringify(name)}`;
      return configured === undefined ? owner : `${owner}, ${describeLocation(configured)}`;
    }
  }
}

function describeLocation({ file, layer, variable }: ConfigLocation): string {
  const location = layer === undefined ? file : `${file} (${layer})`;
  return variable === undefined ? location : `${location}, variable ${variable}`;
}

/** Options whose values can contain secrets. */
const SECRET: ReadonlySet<string> = new Set([
  "agents",
  "apiKey",
  "env",
  "executableArgs",
  "extraArgs",
  "journal",
  "logger",
  "managedSettings",
  "mcpServers",
  "plugins",
  "sandbox",
  "settings",
  "toolConfig",
]);

/** Replaces a secret. */
const HIDDEN = "[hidden]";

/** Returns the value of an option in a form that can be shown and logged: plain data, without secrets. */
function redact(option: string, value: unknown): unknown {
  if (!SECRET.has(option)) return toPlain(value);
  // An object holds the name of a variable, which is no secret.
  if (option === "apiKey") return typeof value === "string" ? HIDDEN : value;
  // A string is the path of a settings file, or the settings themselves as JSON.
  if (typeof value === "string") return value.trimStart().startsWith("{") ? HIDDEN : value;
  if (typeof value !== "object" || value === null) return value;
  return Array.isArray(value) ? value.map(() => HIDDEN) : Object.keys(value);
}

function toPlain(value: unknown): unknown {
  if (typeof value === "function") return "[function]";
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map(toPlain);
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) return `[${value.constructor.name}]`;
  return Object.fromEntries(Object.entries(value).map(([field, part]) => [field, toPlain(part)]));
}

/** The defaults of a tree, see `SupervisorSpec`. */
const TREE_DEFAULTS = {
  strategy: "one_for_one",
  maxRestarts: 3,
  maxSeconds: 5,
  onMaxRestarts: "quarantine",
  autoShutdown: "never",
} as const;

/** Returns a supervisor's own options with their origins; each option of `capacity` has its own entry. */
export function effectiveSupervisorOptions({
  name,
  given,
  tree,
  budget,
  onStartFailure,
  capacity,
  journal,
}: SupervisorSettings): EffectiveOptions {
  const owner = { kind: "supervisor", name } as const;
  const own = { owner, options: given };
  const values = { ...TREE_DEFAULTS, ...tree, onStartFailure, budget, journal };
  const options = Object.entries(values).map(([option, value]) => [option, value, originOf([own], option)] as const);
  const limits = { owner, options: given.capacity ?? {} };
  const capacities = Object.entries(capacity).map(
    ([option, value]) => [`capacity.${option}`, value, originOf([limits], option)] as const,
  );
  const shown = [...options, ...capacities].flatMap(([option, value, origin]) =>
    value === undefined ? [] : [[option, { value: redact(option, value), origin }] as const],
  );
  const fromEnvironment = given.journal === undefined && Boolean(process.env[JOURNAL_VARIABLE]);
  return {
    ...Object.fromEntries(shown),
    ...(fromEnvironment
      ? {
          journal: {
            value: redact("journal", journal),
            origin: { from: "environment", variable: JOURNAL_VARIABLE },
          },
        }
      : {}),
  };
}

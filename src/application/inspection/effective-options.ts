import type { PermissionMode } from "@anthropic-ai/claude-agent-sdk";
import { withoutUndefined } from "../../fields.ts";
import { type ConfigLocation, configLocations } from "../../session/options/config-location.ts";
import { optionsOf, type SessionSettings } from "../../session/options/session-settings.ts";
import { JOURNAL_VARIABLE } from "../options/journal-options.ts";
import type { OptionLayer, OptionOwner, SupervisorSettings } from "../options/supervisor-options.ts";

/**
 * Where the value of an option came from: the options of a session, template, pool or supervisor, which may stand in a file of
 * configuration; a call such as `setModel`; the conversation, in which the session came to be in a permission mode; an environment variable; or
 * nobody's, so that it is as it is without.
 */
export type OptionOrigin =
  | ({ readonly from: OptionOwner["kind"]; readonly name?: string } & { readonly configured?: ConfigLocation })
  | { readonly from: "call" }
  | { readonly from: "conversation" }
  | { readonly from: "environment"; readonly variable: string }
  | { readonly from: "built_in" };

/** What an option is, as far as it may be shown, and why. */
export interface EffectiveOption {
  /** Durations in milliseconds. Of objects that may hold secrets only the names of their fields, of functions that there is one. */
  readonly value: unknown;
  readonly origin: OptionOrigin;
}

export type EffectiveOptions = Readonly<Record<string, EffectiveOption>>;

/** Options that Claude Code finds in its environment, if nobody gives them. */
const IN_ENVIRONMENT = [
  { option: "apiKey", variables: ["ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN"] },
  { option: "model", variables: ["ANTHROPIC_MODEL"] },
] as const;

/** What is not of the options of a session. */
const NO_OPTIONS: ReadonlySet<string> = new Set(["name", "signal", "abortController"]);

/**
 * The options by which a session runs.
 *
 * @param planned as its supervisor was told them
 * @param layers what those are made of
 * @param now as they are now, which calls may have changed
 * @param mode the permission mode that it has come to be in, if that is not the options'
 * @param environment that its process gets
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
    found[option] = { value: shownValue(option, value), origin: originIn(layers, option) };
  }
  // A directory of its own is where `isolate` says, whatever stands for `cwd` elsewhere.
  if (now.ownDirectory !== undefined) found["cwd"] = { value: now.sdk.cwd, origin: originIn(layers, "isolate") };
  const { model } = now.sdk;
  if (model !== undefined && model !== planned.sdk.model) found["model"] = { value: model, origin: { from: "call" } };
  if (mode !== undefined) found["permissionMode"] = { value: mode, origin: { from: "conversation" } };
  for (const { option, variables } of IN_ENVIRONMENT) {
    const variable = variables.find((name) => environment[name] !== undefined);
    if (variable === undefined || found[option] !== undefined) continue;
    found[option] = {
      value: shownValue(option, environment[variable]),
      origin: { from: "environment", variable },
    };
  }
  return found;
}

/** Of which layer the value of an option is: the last that has one. */
function originIn(layers: readonly OptionLayer[], option: string): OptionOrigin {
  const layer = layers.findLast(({ options }) =>
    Object.entries(options).some(([name, value]) => name === option && value !== undefined),
  );
  if (layer === undefined) return { from: "built_in" };
  const { kind, name } = layer.owner;
  const configured = configLocations(layer.options).get(option);
  return withoutUndefined({ from: kind, name, configured });
}

/** An origin in words: `template "support", castellan.config.ts (production), variable MODEL`. */
export function describeOrigin(origin: OptionOrigin): string {
  switch (origin.from) {
    case "call":
      return "by a call";
    case "conversation":
      return "came to be so in the conversation";
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

/** Options of which the value, or a part of it, may be a secret. */
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

/** What stands in the place of a secret. */
const HIDDEN = "[hidden]";

/**
 * The value of an option as it may be shown and logged, as data: what can be a secret is left out, and of what is no data it is
 * only said what it is.
 */
function shownValue(option: string, value: unknown): unknown {
  if (!SECRET.has(option)) return plain(value);
  // As an object it is the name of a variable, which is no secret.
  if (option === "apiKey") return typeof value === "string" ? HIDDEN : value;
  // Settings are the path of a file, or all that would be in it.
  if (typeof value === "string") return value.trimStart().startsWith("{") ? HIDDEN : value;
  if (typeof value !== "object" || value === null) return value;
  return Array.isArray(value) ? value.map(() => HIDDEN) : Object.keys(value);
}

function plain(value: unknown): unknown {
  if (typeof value === "function") return "[function]";
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map(plain);
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) return `[${value.constructor.name}]`;
  return Object.fromEntries(Object.entries(value).map(([field, part]) => [field, plain(part)]));
}

/** What a tree does if nobody says so, see `SupervisorSpec`. */
const TREE_DEFAULTS = {
  strategy: "one_for_one",
  maxRestarts: 3,
  maxSeconds: 5,
  onMaxRestarts: "quarantine",
  autoShutdown: "never",
} as const;

/** The options of a supervisor itself, those of `capacity` one by one. */
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
  const options = Object.entries(values).map(([option, value]) => [option, value, originIn([own], option)] as const);
  const limits = { owner, options: given.capacity ?? {} };
  const capacities = Object.entries(capacity).map(
    ([option, value]) => [`capacity.${option}`, value, originIn([limits], option)] as const,
  );
  const shown = [...options, ...capacities].flatMap(([option, value, origin]) =>
    value === undefined ? [] : [[option, { value: shownValue(option, value), origin }] as const],
  );
  const fromEnvironment = given.journal === undefined && Boolean(process.env[JOURNAL_VARIABLE]);
  return {
    ...Object.fromEntries(shown),
    ...(fromEnvironment
      ? {
          journal: {
            value: shownValue("journal", journal),
            origin: { from: "environment", variable: JOURNAL_VARIABLE },
          },
        }
      : {}),
  };
}

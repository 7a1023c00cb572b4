import type { Options as SdkOptions } from "@anthropic-ai/claude-agent-sdk";
import { z } from "zod";
import type { Shape } from "../../claude/fingerprint.ts";
import { type OwnDirectory, ownDirectoryOf } from "../../claude/own-directory.ts";
import { PROCESS_OPTION_NAMES } from "../../claude/process-options.ts";
import { contradictions, REFUSED_SDK_OPTIONS, sdkOptionsShape } from "../../claude/sdk-options.ts";
import type { OptionProblem } from "../../errors.ts";
import { omit, pick, withoutUndefined } from "../../fields.ts";
import { didYouMean, formatName, nameKey, nearMisses, type SessionName } from "../../names.ts";
import { copyConfigLocations } from "./config-location.ts";
import { refuseGlobalName } from "./global-name.ts";
import { isolationProblems, remembers } from "./isolation.ts";
import { OPTION_TABLE, OWN_OPTIONS, type OwnSettings, ownShape } from "./option-table.ts";
import type { SessionDefaults, SessionOptions } from "./options.ts";
import { jsonSchemaOf, type OutputSchema, readerOf } from "./output-schema.ts";
import { type RegisteredPlace, registeredPlaceOf } from "./registered-name.ts";
import { invalidOptions, nameSchema, validate } from "./validation.ts";

/** The options of a session, read and settled, and what follows from them. */
export interface SessionSettings extends OwnSettings {
  readonly name: SessionName;
  readonly key: string;
  /** Where the session is registered besides, if it is named by that. */
  readonly registered: RegisteredPlace | undefined;
  /** Whether Claude remembers things by itself. */
  readonly autoMemory: boolean;
  /** The working directory that it has for itself, if it has one; it is the SDK's `cwd` then. */
  readonly ownDirectory: OwnDirectory | undefined;
  /** With what is made of options of Castellan's own: `outputFormat`, and `cwd`. */
  readonly sdk: SdkOptions;
  /** What answers that are data are read with. */
  readonly output: z.ZodType | undefined;
  readonly signal: AbortSignal | undefined;
}

const refusedShape = Object.fromEntries(
  Object.entries(REFUSED_SDK_OPTIONS).map(([field, reason]) => [
    field,
    z.undefined({ error: `cannot be set on a session: ${reason}` }).optional(),
  ]),
);

const sdkShape = Object.fromEntries(
  Object.entries(sdkOptionsShape).map(([field, schema]) => [field, schema.optional()]),
);

const defaultsSchema = z.strictObject({ ...sdkShape, ...refusedShape, ...ownShape });

const sessionSchema = z.strictObject({
  name: nameSchema,
  signal: z.instanceof(AbortSignal).optional(),
  ...sdkShape,
  ...refusedShape,
  ...ownShape,
});

/** The names of all options of a session. */
export const sessionFields: ReadonlySet<string> = new Set(Object.keys(sessionSchema.shape));

/**
 * The settings of the session that `options` describe over `defaults`. An option that is given replaces the default of
 * the same name as a whole.
 *
 * @param at where the options stand, for messages: `children[2]`.
 * @throws CastellanError `INVALID_OPTIONS`
 */
export function sessionSettings(options: SessionOptions, defaults: SessionDefaults, at = ""): SessionSettings {
  const registered = isRecord(options) ? registeredPlaceOf(options.name) : undefined;
  if (isRecord(options)) refuseGlobalName(options.name, "session", at === "" ? "name" : `${at}.name`);
  if (registered === undefined) return settingsOf(options, defaults, undefined, at);
  if (registered.name === undefined) {
    const message = "needs a registry that has a `name`, with which the session's own name begins";
    throw invalidOptions("session", [{ field: at === "" ? "name" : `${at}.name`, message }]);
  }
  return settingsOf({ ...options, name: registered.name }, defaults, registered, at);
}

function settingsOf(
  options: SessionOptions,
  defaults: SessionDefaults,
  registered: RegisteredPlace | undefined,
  at: string,
): SessionSettings {
  const what = isNamed(options) ? `session ${formatName(options.name)}` : "session";
  const given = isRecord(options) ? withoutUndefined(options) : options;
  const parsed = validate(sessionSchema, isRecord(given) ? { ...defaults, ...given } : given, what, at);
  const { name, signal } = parsed;
  const own = pick(parsed, OWN_OPTIONS) as OwnSettings;
  const { approvals, outputSchema, isolate, autoMemory, requireMcpServers } = own;
  const sdk: SdkOptions = withVariablesOfSettings(
    withoutUndefined(omit({ ...defaults, ...given }, ["name", "signal", ...OWN_OPTIONS])),
  );
  const problems = contradictions(sdk);
  problems.push(...isolationProblems({ sdk, cwd: given.cwd, isolate, autoMemory, inheritEnv: own.inheritEnv }));
  problems.push(...serverProblems(requireMcpServers, sdk));
  if (approvals !== false && (sdk.canUseTool ?? sdk.permissionPromptToolName) !== undefined) {
    const message = "cannot be combined with `canUseTool` or `permissionPromptToolName`; choose who answers";
    problems.push({ field: "approvals", message });
  }
  if (own.significant && own.restart === "permanent") {
    const message = 'a permanent session cannot be significant; set `restart` to "transient" or "temporary"';
    problems.push({ field: "significant", message });
  }
  for (const [field, ends] of [
    ["abortController", sdk.abortController?.signal],
    ["signal", signal],
  ] as const) {
    if (ends?.aborted)
      problems.push({ field, message: "has already been aborted, which would stop the session at once" });
  }
  const output = outputSchema === undefined ? undefined : outputOf(outputSchema, sdk, problems);
  if (problems.length > 0) {
    throw invalidOptions(
      what,
      problems.map(({ field, message }) => ({ field: at === "" ? field : `${at}.${field}`, message })),
    );
  }
  const ownDirectory =
    isolate === false ? undefined : ownDirectoryOf(name, typeof isolate === "object" ? isolate.root : undefined);
  const placed = ownDirectory === undefined ? sdk : { ...sdk, cwd: ownDirectory.path };
  return {
    ...own,
    name,
    key: nameKey(name),
    registered,
    isolate: ownDirectory === undefined ? false : { root: ownDirectory.root },
    autoMemory: remembers({ sdk, autoMemory }),
    ownDirectory,
    sdk: output === undefined ? placed : { ...placed, outputFormat: output.format },
    output: output?.reader,
    signal,
  };
}

/**
 * The options with the variables that inline settings set in `env`: settings stand on the command line, which every user of the
 * machine can read, and the environment of a process only its own user. Claude Code takes both alike, unless there are settings of
 * files, which count for more than the environment; then they stay where they are.
 */
export function withVariablesOfSettings(sdk: SdkOptions): SdkOptions {
  const { settings, settingSources = [] } = sdk;
  if (typeof settings !== "object" || settingSources.length > 0) return sdk;
  const { env: variables, ...others } = settings;
  if (!areVariables(variables)) return sdk;
  const moved = { ...sdk, env: { ...sdk.env, ...variables } };
  if (Object.keys(others).length > 0) return { ...moved, settings: others };
  const { settings: _, ...without } = moved;
  return without;
}

function areVariables(value: unknown): value is Record<string, string> {
  if (typeof value !== "object" || value === null) return false;
  return Object.values(value).every((part) => typeof part === "string");
}

/** Servers that are required and that nobody could bring: neither the options nor files. */
function serverProblems(
  required: boolean | readonly string[],
  { mcpServers = {}, settingSources = [], plugins = [] }: SdkOptions,
): OptionProblem[] {
  if (typeof required === "boolean" || settingSources.length > 0 || plugins.length > 0) return [];
  const known = Object.keys(mcpServers);
  const unknown = required.filter((name) => !known.includes(name));
  return unknown.map((name) => ({
    field: "requireMcpServers",
    message: `${JSON.stringify(name)} is none of \`mcpServers\`${didYouMean(nearMisses(name, known))}`,
  }));
}

/** The form that Claude Code is told, and what the answers are read with. */
function outputOf(
  schema: OutputSchema,
  sdk: SdkOptions,
  problems: { field: string; message: string }[],
): { readonly format: NonNullable<SdkOptions["outputFormat"]>; readonly reader: z.ZodType } | undefined {
  const field = "outputSchema";
  if (sdk.outputFormat !== undefined) {
    problems.push({ field, message: "cannot be combined with `outputFormat`, which it takes the place of" });
  }
  try {
    return { format: { type: "json_schema", schema: jsonSchemaOf(schema) }, reader: readerOf(schema) };
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    problems.push({ field, message: `cannot be written, or read, as JSON Schema: ${why}` });
    return undefined;
  }
}

/** All that a process of a session with these settings is started with, apart from the conversation. */
export function shapeOf(settings: SessionSettings): Shape {
  const { sdk, approvals, ownDirectory } = settings;
  return { ...pick(settings, PROCESS_OPTION_NAMES), options: sdk, approvals: approvals !== false, ownDirectory };
}

/** The options by which there would be a session of these settings, but for its name and the conversation that it begins with. */
export function optionsOf(settings: SessionSettings): SessionDefaults {
  const { abortController: _, resume: _1, forkSession: _2, resumeSessionAt: _3, sessionId: _4, ...sdk } = settings.sdk;
  const made = [
    ...(settings.outputSchema === undefined ? [] : ["outputFormat"]),
    ...(settings.ownDirectory === undefined ? [] : ["cwd"]),
  ];
  return withoutUndefined({ ...omit(sdk, made), ...pick(settings, OWN_OPTIONS) }) as SessionDefaults;
}

/** Options that make another session like the one of `settings`, with a conversation of its own. */
export function likeOptions(settings: SessionSettings): SessionDefaults {
  return omit(
    optionsOf(settings),
    OWN_OPTIONS.filter((name) => !OPTION_TABLE[name].forks),
  );
}

/**
 * Checks options that are to serve as defaults.
 *
 * @param at where they stand, for messages
 * @throws CastellanError `INVALID_OPTIONS`
 */
export function checkSessionDefaults(defaults: SessionDefaults, what: string, at = "defaults"): SessionDefaults {
  validate(defaultsSchema, defaults, what, at);
  return copyConfigLocations(defaults, withoutUndefined(defaults));
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isNamed(value: unknown): value is { name: SessionName } {
  return isRecord(value) && nameSchema.safeParse(value["name"]).success;
}

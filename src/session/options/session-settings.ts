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
import { hasAutoMemory, isolationProblems } from "./isolation.ts";
import { OPTION_TABLE, OWN_OPTIONS, type OwnSettings, ownShape } from "./option-table.ts";
import type { SessionDefaults, SessionOptions } from "./options.ts";
import { jsonSchemaOf, type OutputSchema, readerOf } from "./output-schema.ts";
import { registrationOf, type SessionRegistration } from "./registered-name.ts";
import { invalidOptions, nameSchema, validate } from "./validation.ts";

/** The parsed options of a session, and the values derived from them. */
export interface SessionSettings extends OwnSettings {
  readonly name: SessionName;
  readonly key: string;
  /** The registry key that the session also has, if `via` named it. */
  readonly registered: SessionRegistration | undefined;
  /** Whether Claude's auto-memory is on. */
  readonly autoMemory: boolean;
  /** The session's own working directory, if it has one; it is also the SDK's `cwd`. */
  readonly ownDirectory: OwnDirectory | undefined;
  /** Includes `outputFormat` and `cwd` as derived from Castellan's own options. */
  readonly sdk: SdkOptions;
  /** Parses structured answers. */
  readonly output: z.ZodType | undefined;
  readonly signal: AbortSignal | undefined;
}

/** Most sessions share it. */
const NO_LABELS: SessionSettings["labels"] = {};

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

/** The names of all session options. */
export const sessionFields: ReadonlySet<string> = new Set(Object.keys(sessionSchema.shape));

/**
 * Returns the settings of the session with these options over `defaults`. A given option replaces the whole default of
 * the same name.
 *
 * @param at the path of the options, for messages: `children[2]`.
 * @throws CastellanError `INVALID_OPTIONS`
 */
export function sessionSettings(options: SessionOptions, defaults: SessionDefaults, at = ""): SessionSettings {
  const registered = isRecord(options) ? registrationOf(options.name) : undefined;
  if (isRecord(options)) refuseGlobalName(options.name, "session", at === "" ? "name" : `${at}.name`);
  if (registered === undefined) return settingsOf(options, defaults, undefined, at);
  if (registered.name === undefined) {
    const message = "requires a registry with a `name`, which the session's own name begins with";
    throw invalidOptions("session", [{ field: at === "" ? "name" : `${at}.name`, message }]);
  }
  return settingsOf({ ...options, name: registered.name }, defaults, registered, at);
}

function settingsOf(
  options: SessionOptions,
  defaults: SessionDefaults,
  registered: SessionRegistration | undefined,
  at: string,
): SessionSettings {
  const what = isNamed(options) ? `session ${formatName(options.name)}` : "session";
  const given = isRecord(options) ? withoutUndefined(options) : options;
  const parsed = validate(sessionSchema, isRecord(given) ? { ...defaults, ...given } : given, what, at);
  const { name, signal } = parsed;
  // Without the options that are not given: ten thousand sessions keep theirs.
  const own = withoutUndefined(pick(parsed, OWN_OPTIONS)) as OwnSettings;
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
    labels: Object.keys(own.labels).length === 0 ? NO_LABELS : own.labels,
    name,
    key: nameKey(name),
    registered,
    isolate: ownDirectory === undefined ? false : { root: ownDirectory.root },
    autoMemory: hasAutoMemory({ sdk, autoMemory }),
    ownDirectory,
    sdk: output === undefined ? placed : { ...placed, outputFormat: output.format },
    output: output?.reader,
    signal,
  };
}

/**
 * Moves the variables in the `env` of inline settings to the environment. Claude Code receives settings on its command
 * line, which every user of the machine can read; only the process's own user can read its environment. The variables
 * stay in the settings if settings files are read, because those override the environment.
 */
function withVariablesOfSettings(sdk: SdkOptions): SdkOptions {
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

/** Returns a problem for each required server that neither the options nor a settings file or plugin can provide. */
function serverProblems(
  required: boolean | readonly string[],
  { mcpServers = {}, settingSources = [], plugins = [] }: SdkOptions,
): OptionProblem[] {
  if (typeof required === "boolean" || settingSources.length > 0 || plugins.length > 0) return [];
  const known = Object.keys(mcpServers);
  const unknown = required.filter((name) => !known.includes(name));
  return unknown.map((name) => ({
    field: "requireMcpServers",
    message: `${JSON.stringify(name)} is not in \`mcpServers\`${didYouMean(nearMisses(name, known))}`,
  }));
}

/** Returns the output format for Claude Code, and the schema that parses the answers. */
function outputOf(
  schema: OutputSchema,
  sdk: SdkOptions,
  problems: { field: string; message: string }[],
): { readonly format: NonNullable<SdkOptions["outputFormat"]>; readonly reader: z.ZodType } | undefined {
  const field = "outputSchema";
  if (sdk.outputFormat !== undefined) {
    problems.push({ field, message: "cannot be combined with `outputFormat`, which it replaces" });
  }
  try {
    return { format: { type: "json_schema", schema: jsonSchemaOf(schema) }, reader: readerOf(schema) };
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    problems.push({ field, message: `cannot be converted to or from JSON Schema: ${why}` });
    return undefined;
  }
}

/** Returns everything that shapes a process of this session, except the conversation. */
export function shapeOf(settings: SessionSettings): Shape {
  const { sdk, approvals, ownDirectory } = settings;
  return { ...pick(settings, PROCESS_OPTION_NAMES), options: sdk, approvals: approvals !== false, ownDirectory };
}

/** Returns options that would produce these settings, without the name and the starting conversation. */
export function optionsOf(settings: SessionSettings): SessionDefaults {
  const { abortController: _, resume: _1, forkSession: _2, resumeSessionAt: _3, sessionId: _4, ...sdk } = settings.sdk;
  const made = [
    ...(settings.outputSchema === undefined ? [] : ["outputFormat"]),
    ...(settings.ownDirectory === undefined ? [] : ["cwd"]),
  ];
  return withoutUndefined({ ...omit(sdk, made), ...pick(settings, OWN_OPTIONS) }) as SessionDefaults;
}

/** Returns the options of a fork: like this session's, with a conversation of its own. */
export function likeOptions(settings: SessionSettings): SessionDefaults {
  return omit(
    optionsOf(settings),
    OWN_OPTIONS.filter((name) => !OPTION_TABLE[name].forks),
  );
}

/**
 * Checks session options that serve as defaults.
 *
 * @param at their path, for messages
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

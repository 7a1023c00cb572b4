import type { Options as SdkOptions } from "@anthropic-ai/claude-agent-sdk";
import { z } from "zod";
import type { ApiKey } from "../claude/launch.ts";
import type { OwnDirectory } from "../claude/own-directory.ts";
import type { RequiredServers } from "../claude/required-servers.ts";
import { contradictions, REFUSED_SDK_OPTIONS, sdkOptionsShape } from "../claude/sdk-options.ts";
import type { OptionProblem } from "../errors.ts";
import { didYouMean, formatName, nameKey, nearMisses, type SessionName } from "../names.ts";
import type { Restart, Shutdown } from "../supervision/child-spec.ts";
import type { Budget } from "./budget.ts";
import { copyConfigured } from "./configured-options.ts";
import { refuseGlobalName } from "./global-name.ts";
import { isolateSchema, isolationProblems, remembers } from "./isolation.ts";
import type { OnInterruptedTurn, SessionDefaults, SessionOptions, WhenBusy } from "./options.ts";
import { isZodSchema, jsonSchemaOf, type OutputSchema, readerOf } from "./output-schema.ts";
import { ownDirectoryOf } from "./own-directory.ts";
import { type RegisteredPlace, registeredPlaceOf } from "./registered-name.ts";
import { withVariablesOfSettings } from "./settings-variables.ts";
import {
  budgetSchema,
  durationSchema,
  invalidOptions,
  memorySchema,
  nameSchema,
  validate,
  withoutUndefined,
} from "./validation.ts";

/** The options of a session with all defaults filled in and all durations in milliseconds. */
export interface SessionSettings {
  readonly name: SessionName;
  readonly key: string;
  /** Where the session is registered besides, if it is named by that. */
  readonly registered: RegisteredPlace | undefined;
  readonly timeoutMs: number | undefined;
  readonly queueTimeoutMs: number;
  readonly stallTimeoutMs: number;
  /** `undefined` if the session does not hibernate by itself. */
  readonly idleTimeoutMs: number | undefined;
  readonly pinned: boolean;
  /** In bytes. */
  readonly maxMemory: number | undefined;
  readonly maxAgeMs: number | undefined;
  /** `undefined` if background tasks may run for as long as they like. */
  readonly backgroundTaskTimeoutMs: number | undefined;
  readonly activation: "eager" | "lazy";
  /** `undefined` if the session takes no approvals. */
  readonly approvalTimeoutMs: number | undefined;
  readonly mailboxLimit: number;
  readonly verbatimPrompts: boolean;
  readonly whenBusy: WhenBusy;
  readonly onInterruptedTurn: OnInterruptedTurn;
  /** `undefined` if one that is gone is a failure, and one that is older than the journal knows is none. */
  readonly onMissingConversation: "fail" | "fresh" | undefined;
  readonly restart: Restart;
  readonly shutdown: Shutdown;
  readonly significant: boolean;
  readonly apiKey: ApiKey | undefined;
  readonly inheritEnv: boolean | readonly string[] | undefined;
  /** Whether Claude remembers things by itself. */
  readonly autoMemory: boolean;
  /** The MCP servers without which a start fails: these, or all, if there are any. */
  readonly requireMcpServers: RequiredServers | undefined;
  /** The working directory that it has for itself, if it has one; it is the SDK's `cwd` then. */
  readonly ownDirectory: OwnDirectory | undefined;
  readonly sdk: SdkOptions;
  /** The form of the answers, as it was given; the SDK's options have it as `outputFormat`. */
  readonly outputSchema: OutputSchema | undefined;
  /** What answers that are data are read with. */
  readonly output: z.ZodType | undefined;
  readonly signal: AbortSignal | undefined;
  readonly budget: Budget | undefined;
}

/** What is silent for less than this has not stalled. */
const SHORTEST_STALL_MS = 100;

/** A key that stands where the name of its variable should is not taken for one, and not repeated in messages. */
const variableSchema = z.string().regex(/^[A-Za-z_][\w()]*$/, "expected the name of a variable of the environment");

const ownShape = {
  apiKey: z.union([z.string().min(1), z.strictObject({ env: variableSchema })]).optional(),
  timeout: durationSchema.optional(),
  queueTimeout: durationSchema.default(10 * 60_000),
  stallTimeout: durationSchema
    .refine(
      (ms) => ms >= SHORTEST_STALL_MS,
      `expected at least ${SHORTEST_STALL_MS} ms; a model may think for longer than that`,
    )
    .default(10 * 60_000),
  idleTimeout: durationSchema.optional(),
  pinned: z.boolean().default(false),
  maxMemory: memorySchema.optional(),
  maxAge: durationSchema.optional(),
  backgroundTaskTimeout: durationSchema.optional(),
  activation: z.enum(["eager", "lazy"]).default("eager"),
  approvals: z.union([z.boolean(), z.strictObject({ timeout: durationSchema })]).default(false),
  mailboxLimit: z.int().nonnegative().default(100),
  // In the place of the SDK's option of that name, which is for all messages of a process.
  verbatimPrompts: z.boolean().default(true),
  whenBusy: z.enum(["enqueue", "reject", "interrupt", "rollback"]).default("enqueue"),
  onInterruptedTurn: z.enum(["retry_if_untouched", "fail", "retry"]).default("retry_if_untouched"),
  onMissingConversation: z.enum(["fail", "fresh"]).optional(),
  restart: z.enum(["permanent", "transient", "temporary"]).default("permanent"),
  shutdown: z.union([z.enum(["brutal_kill", "infinity"]), durationSchema]).default(5_000),
  outputSchema: z
    .custom<OutputSchema>((value) => isZodSchema(value) || isRecord(value), "expected a zod schema or a JSON Schema")
    .optional(),
  significant: z.boolean().default(false),
  budget: budgetSchema.optional(),
  inheritEnv: z.union([z.boolean(), z.array(z.string().min(1))]).optional(),
  isolate: isolateSchema.default(false),
  autoMemory: z.boolean().optional(),
  requireMcpServers: z.union([z.boolean(), z.array(z.string().min(1))]).default(false),
};

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
  const {
    name,
    signal,
    timeout,
    queueTimeout,
    stallTimeout,
    idleTimeout,
    maxAge,
    backgroundTaskTimeout,
    approvals,
    outputSchema,
    isolate,
    autoMemory,
    requireMcpServers,
    ...own
  } = pick(parsed, ["name", "signal", ...(Object.keys(ownShape) as (keyof typeof ownShape)[])]);
  const sdk: SdkOptions = withVariablesOfSettings(
    withoutUndefined(omit({ ...defaults, ...given }, ["name", "signal", ...Object.keys(ownShape)])),
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
    timeoutMs: timeout,
    queueTimeoutMs: queueTimeout,
    stallTimeoutMs: stallTimeout,
    idleTimeoutMs: idleTimeout,
    maxMemory: own.maxMemory,
    maxAgeMs: maxAge,
    backgroundTaskTimeoutMs: backgroundTaskTimeout,
    onMissingConversation: own.onMissingConversation,
    approvalTimeoutMs: typeof approvals === "object" ? approvals.timeout : approvals ? 10 * 60_000 : undefined,
    apiKey: own.apiKey,
    budget: own.budget === undefined ? undefined : withoutUndefined(own.budget),
    inheritEnv: own.inheritEnv,
    autoMemory: remembers({ sdk, autoMemory }),
    requireMcpServers: requireMcpServers === false ? undefined : requireMcpServers,
    ownDirectory,
    sdk: output === undefined ? placed : { ...placed, outputFormat: output.format },
    outputSchema,
    output: output?.reader,
    signal,
  };
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

/** Options that make another session like the one of `settings`, with a conversation of its own. */
export function likeOptions(settings: SessionSettings): SessionDefaults {
  const { abortController: _, resume: _1, forkSession: _2, resumeSessionAt: _3, sessionId: _4, ...sdk } = settings.sdk;
  const {
    timeoutMs: timeout,
    apiKey,
    inheritEnv,
    approvalTimeoutMs,
    outputSchema,
    ownDirectory,
    autoMemory,
    requireMcpServers = false,
  } = settings;
  const made = [
    ...(outputSchema === undefined ? [] : ["outputFormat"]),
    ...(ownDirectory === undefined ? [] : ["cwd"]),
  ];
  return withoutUndefined({
    ...omit(sdk, made),
    outputSchema,
    apiKey,
    inheritEnv,
    isolate: ownDirectory === undefined ? false : { root: ownDirectory.root },
    autoMemory,
    requireMcpServers,
    timeout,
    queueTimeout: settings.queueTimeoutMs,
    stallTimeout: settings.stallTimeoutMs,
    idleTimeout: settings.idleTimeoutMs,
    pinned: settings.pinned,
    maxMemory: settings.maxMemory,
    maxAge: settings.maxAgeMs,
    backgroundTaskTimeout: settings.backgroundTaskTimeoutMs,
    activation: settings.activation,
    approvals: approvalTimeoutMs === undefined ? false : { timeout: approvalTimeoutMs },
    mailboxLimit: settings.mailboxLimit,
    verbatimPrompts: settings.verbatimPrompts,
    whenBusy: settings.whenBusy,
    onInterruptedTurn: settings.onInterruptedTurn,
    onMissingConversation: settings.onMissingConversation,
    restart: settings.restart,
    shutdown: settings.shutdown,
    budget: settings.budget,
  }) as SessionDefaults;
}

/**
 * Checks options that are to serve as defaults.
 *
 * @param at where they stand, for messages
 * @throws CastellanError `INVALID_OPTIONS`
 */
export function checkSessionDefaults(defaults: SessionDefaults, what: string, at = "defaults"): SessionDefaults {
  validate(defaultsSchema, defaults, what, at);
  return copyConfigured(defaults, withoutUndefined(defaults));
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isNamed(value: unknown): value is { name: SessionName } {
  return isRecord(value) && nameSchema.safeParse(value["name"]).success;
}

function pick<Fields extends object, Name extends keyof Fields>(
  fields: Fields,
  names: readonly Name[],
): Pick<Fields, Name> {
  return Object.fromEntries(names.map((name) => [name, fields[name]])) as Pick<Fields, Name>;
}

function omit<Fields extends object>(fields: Fields, names: readonly string[]): Fields {
  return Object.fromEntries(Object.entries(fields).filter(([name]) => !names.includes(name))) as Fields;
}

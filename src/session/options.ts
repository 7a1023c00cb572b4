import type { Options as SdkOptions } from "@anthropic-ai/claude-agent-sdk";
import { z } from "zod";
import type { ApiKey } from "../claude/launch.ts";
import { contradictions, REFUSED_SDK_OPTIONS, sdkOptionsShape } from "../claude/sdk-options.ts";
import type { Duration } from "../duration.ts";
import { formatName, nameKey, type SessionName } from "../names.ts";
import type { Restart, Shutdown } from "../supervision/child-spec.ts";
import { jsonSchemaOf, type OutputSchema, readerOf } from "./output-schema.ts";
import { durationSchema, invalidOptions, nameSchema, validate } from "./validation.ts";

/** What happens to a turn that is asked for while another one runs or waits. */
export type WhenBusy = "enqueue" | "reject" | "interrupt" | "rollback";

/** What happens to the turn that was running when the process died. */
export type OnInterruptedTurn = "retry_if_untouched" | "fail" | "retry";

/** Options that can be given for all sessions of a supervisor, or for one. */
export interface SessionDefaults extends Omit<SdkOptions, keyof typeof REFUSED_SDK_OPTIONS> {
  /**
   * The key for Anthropic's API, or the name of the environment variable that holds it, which is read whenever a process
   * is started. It goes over `env`, and keeps the host's own credentials out of the process. Default: what Claude Code finds
   * by itself, such as `ANTHROPIC_API_KEY`.
   * @example { env: "REVIEWER_KEY" }
   */
  apiKey?: ApiKey;
  /** How long a turn may take, from the call to its end; the time in the mailbox counts. Default: as long as it takes. */
  timeout?: Duration;
  /** How long a turn may wait in the mailbox. Default `"10m"`. */
  queueTimeout?: Duration;
  /**
   * How long a process may be silent in the middle of a turn, while no tool runs and nothing of the application's is
   * waited for, before it is killed and the session restarted. Default `"10m"`. With `includePartialMessages: false` an
   * answer is silent until it is written, so leave room for long ones.
   */
  stallTimeout?: Duration;
  /** How many turns may wait. One more is refused with `MAILBOX_FULL`. Default 100. */
  mailboxLimit?: number;
  /**
   * `"enqueue"` lets a turn wait for those before it, `"reject"` refuses it with `SESSION_BUSY`, `"interrupt"` stops the
   * turn that runs and goes first, and `"rollback"` also takes that turn out of the conversation, for which the process is
   * replaced. Default `"enqueue"`.
   */
  whenBusy?: WhenBusy;
  /**
   * Turns the permissions that Claude asks for into objects that can be listed and answered from anywhere, see
   * `session.approvals()`. One that nobody answers in time is denied. Default `false`; with `true` the time is `"10m"`.
   */
  approvals?: boolean | { timeout: Duration };
  /**
   * What happens to a turn whose process died. `"retry_if_untouched"` runs it again if Claude had not begun to answer or
   * to act, on the conversation as it was before, and otherwise ends it with `TURN_INTERRUPTED`, which tells what is
   * known; `"fail"` always ends it; `"retry"` always runs it again, so that what it did may be done twice.
   * Default `"retry_if_untouched"`.
   */
  onInterruptedTurn?: OnInterruptedTurn;
  /**
   * What happens when the transcript of the conversation is gone. `"fail"` sets the session aside, `"fresh"` begins a new
   * conversation under the same name. Default `"fail"`: a session does not forget by itself.
   */
  onMissingConversation?: "fail" | "fresh";
  /** When the session is started again after its process ended, as in OTP. Default `"permanent"`. */
  restart?: Restart;
  /** How long the process may take to end before it is killed, `"brutal_kill"` for at once, `"infinity"`. Default `"5s"`. */
  shutdown?: Duration | "brutal_kill" | "infinity";
  /**
   * The form of the answers: a schema of zod's, or a JSON Schema. Claude answers with data of that form, which is checked
   * and stands in `reply.structured`. Takes the place of the SDK's `outputFormat`.
   */
  outputSchema?: OutputSchema;
  /** Whether the end of this session may end its supervisor, see the supervisor's `autoShutdown`. Default `false`. */
  significant?: boolean;
  /**
   * What the process gets of the host's environment besides paths, locale, proxies, certificates, `ANTHROPIC_*` and
   * `CLAUDE_*`: `true` for all, or a list of names and of beginnings such as `"AWS_*"`. Default: nothing.
   */
  inheritEnv?: boolean | readonly string[];
}

/**
 * A session: its name, Castellan's options, and every option of the Agent SDK under its own name.
 *
 * Some options of the SDK mean what they mean for a conversation that outlives its processes. `resume`, `forkSession`,
 * `resumeSessionAt` and `sessionId` say which conversation the session begins with; later processes resume whatever it
 * has become. Aborting `abortController` stops the session. `env` is set on top of the environment that Castellan builds,
 * where `undefined` takes a variable out.
 */
export interface SessionOptions extends SessionDefaults {
  name: SessionName;
  /** Aborting it ends the session, as `terminateSession` does. */
  signal?: AbortSignal;
}

/** The options of a session with all defaults filled in and all durations in milliseconds. */
export interface SessionSettings {
  readonly name: SessionName;
  readonly key: string;
  readonly timeoutMs: number | undefined;
  readonly queueTimeoutMs: number;
  readonly stallTimeoutMs: number;
  /** `undefined` if the session takes no approvals. */
  readonly approvalTimeoutMs: number | undefined;
  readonly mailboxLimit: number;
  readonly whenBusy: WhenBusy;
  readonly onInterruptedTurn: OnInterruptedTurn;
  readonly onMissingConversation: "fail" | "fresh";
  readonly restart: Restart;
  readonly shutdown: Shutdown;
  readonly significant: boolean;
  readonly apiKey: ApiKey | undefined;
  readonly inheritEnv: boolean | readonly string[] | undefined;
  readonly sdk: SdkOptions;
  /** The form of the answers, as it was given; the SDK's options have it as `outputFormat`. */
  readonly outputSchema: OutputSchema | undefined;
  /** What answers that are data are read with. */
  readonly output: z.ZodType | undefined;
  readonly signal: AbortSignal | undefined;
}

/** What is silent for less than this has not stalled. */
const SHORTEST_STALL_MS = 100;

const ownShape = {
  apiKey: z.union([z.string().min(1), z.strictObject({ env: z.string().min(1) })]).optional(),
  timeout: durationSchema.optional(),
  queueTimeout: durationSchema.default(10 * 60_000),
  stallTimeout: durationSchema
    .refine(
      (ms) => ms >= SHORTEST_STALL_MS,
      `expected at least ${SHORTEST_STALL_MS} ms; a model may think for longer than that`,
    )
    .default(10 * 60_000),
  approvals: z.union([z.boolean(), z.strictObject({ timeout: durationSchema })]).default(false),
  mailboxLimit: z.int().nonnegative().default(100),
  whenBusy: z.enum(["enqueue", "reject", "interrupt", "rollback"]).default("enqueue"),
  onInterruptedTurn: z.enum(["retry_if_untouched", "fail", "retry"]).default("retry_if_untouched"),
  onMissingConversation: z.enum(["fail", "fresh"]).default("fail"),
  restart: z.enum(["permanent", "transient", "temporary"]).default("permanent"),
  shutdown: z.union([z.enum(["brutal_kill", "infinity"]), durationSchema]).default(5_000),
  outputSchema: z
    .custom<OutputSchema>(
      (value) => value instanceof z.ZodType || isRecord(value),
      "expected a zod schema or a JSON Schema",
    )
    .optional(),
  significant: z.boolean().default(false),
  inheritEnv: z.union([z.boolean(), z.array(z.string().min(1))]).optional(),
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

/**
 * The settings of the session that `options` describe over `defaults`. An option that is given replaces the default of
 * the same name as a whole.
 *
 * @param at where the options stand, for messages: `children[2]`.
 * @throws CastellanError `INVALID_OPTIONS`
 */
export function sessionSettings(options: SessionOptions, defaults: SessionDefaults, at = ""): SessionSettings {
  const what = isNamed(options) ? `session ${formatName(options.name)}` : "session";
  const given = isRecord(options) ? withoutUndefined(options) : options;
  const parsed = validate(sessionSchema, isRecord(given) ? { ...defaults, ...given } : given, what, at);
  const { name, signal, timeout, queueTimeout, stallTimeout, approvals, outputSchema, ...own } = pick(parsed, [
    "name",
    "signal",
    ...(Object.keys(ownShape) as (keyof typeof ownShape)[]),
  ]);
  const sdk: SdkOptions = withoutUndefined(
    omit({ ...defaults, ...given }, ["name", "signal", ...Object.keys(ownShape)]),
  );
  const problems = contradictions(sdk);
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
  return {
    ...own,
    name,
    key: nameKey(name),
    timeoutMs: timeout,
    queueTimeoutMs: queueTimeout,
    stallTimeoutMs: stallTimeout,
    approvalTimeoutMs: typeof approvals === "object" ? approvals.timeout : approvals ? 10 * 60_000 : undefined,
    apiKey: own.apiKey,
    inheritEnv: own.inheritEnv,
    sdk: output === undefined ? sdk : { ...sdk, outputFormat: output.format },
    outputSchema,
    output: output?.reader,
    signal,
  };
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
  const { timeoutMs: timeout, apiKey, inheritEnv, approvalTimeoutMs, outputSchema } = settings;
  return withoutUndefined({
    ...(outputSchema === undefined ? sdk : { ...omit(sdk, ["outputFormat"]), outputSchema }),
    apiKey,
    inheritEnv,
    timeout,
    queueTimeout: settings.queueTimeoutMs,
    stallTimeout: settings.stallTimeoutMs,
    approvals: approvalTimeoutMs === undefined ? false : { timeout: approvalTimeoutMs },
    mailboxLimit: settings.mailboxLimit,
    whenBusy: settings.whenBusy,
    onInterruptedTurn: settings.onInterruptedTurn,
    onMissingConversation: settings.onMissingConversation,
    restart: settings.restart,
    shutdown: settings.shutdown,
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
  return withoutUndefined(defaults);
}

/** Options that one turn can be asked with. Each takes the place of the session's own. */
export interface TurnOptions<Structured = unknown> {
  /** As the session's `timeout`. */
  timeout?: Duration;
  /** As the session's `queueTimeout`. */
  queueTimeout?: Duration;
  /** As the session's `whenBusy`. */
  whenBusy?: WhenBusy;
  /** Aborting it ends the call at once: a turn that waits never runs, one that runs is stopped. */
  signal?: AbortSignal;
  /**
   * What the answer, which is data, is read with: gives `reply.structured` its type. The session must have an
   * `outputSchema`, or an `outputFormat`, that makes Claude answer so.
   */
  outputSchema?: z.ZodType<Structured>;
}

export interface TurnSettings {
  readonly timeoutMs: number | undefined;
  readonly queueTimeoutMs: number;
  readonly whenBusy: WhenBusy;
  readonly signal: AbortSignal | undefined;
  readonly output: z.ZodType | undefined;
}

const turnSchema = z.strictObject({
  timeout: durationSchema.optional(),
  queueTimeout: durationSchema.optional(),
  whenBusy: z.enum(["enqueue", "reject", "interrupt", "rollback"]).optional(),
  signal: z.instanceof(AbortSignal).optional(),
  outputSchema: z.instanceof(z.ZodType, { error: "expected a zod schema" }).optional(),
});

/**
 * The settings of a turn. An option that shapes the process, such as `systemPrompt`, is refused: a live process would
 * ignore it.
 *
 * @throws CastellanError `INVALID_OPTIONS`
 */
export function turnSettings<Structured>(options: TurnOptions<Structured>, session: SessionSettings): TurnSettings {
  const what = `turn of session ${formatName(session.name)}`;
  if (isRecord(options)) {
    const misplaced = Object.keys(options).filter(
      (field) => !(field in turnSchema.shape) && field in sessionSchema.shape,
    );
    const message = "is an option of a session, not of a turn; a process that runs cannot take it up";
    if (misplaced.length > 0)
      throw invalidOptions(
        what,
        misplaced.map((field) => ({ field, message })),
      );
  }
  const parsed = validate(turnSchema, options, what);
  if (parsed.outputSchema !== undefined && session.sdk.outputFormat === undefined) {
    const message = "needs a session that has one too; a process that runs cannot be told";
    throw invalidOptions(what, [{ field: "outputSchema", message }]);
  }
  return {
    timeoutMs: parsed.timeout ?? session.timeoutMs,
    queueTimeoutMs: parsed.queueTimeout ?? session.queueTimeoutMs,
    whenBusy: parsed.whenBusy ?? session.whenBusy,
    signal: parsed.signal,
    output: parsed.outputSchema ?? session.output,
  };
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isNamed(value: unknown): value is { name: SessionName } {
  return isRecord(value) && nameSchema.safeParse(value["name"]).success;
}

function withoutUndefined<Fields extends object>(fields: Fields): Fields {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Fields;
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

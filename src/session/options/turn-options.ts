import { z } from "zod";
import type { Duration } from "../../duration.ts";
import type { JsonObject } from "../../journal/model/session-entry.ts";
import { formatName } from "../../names.ts";
import { askerSchema } from "./asker.ts";
import { metadataSchema } from "./metadata.ts";
import type { WhenBusy } from "./options.ts";
import { isZodSchema } from "./output-schema.ts";
import { type SessionSettings, sessionFields } from "./session-settings.ts";
import { durationSchema, invalidOptions, validate } from "./validation.ts";

/** Options of one turn. Each overrides the session's option of the same name. */
export interface TurnOptions<Structured = unknown> {
  /** Overrides the session's `timeout`. */
  timeout?: Duration;
  /** Overrides the session's `queueTimeout`. */
  queueTimeout?: Duration;
  /** Overrides the session's `whenBusy`. */
  whenBusy?: WhenBusy;
  /**
   * Makes retries safe: the same key returns the same turn and the same reply, also after a restart of the application,
   * for as long as the journal keeps the turn. Only the options of the first call count. Keys are scoped to the
   * session.
   */
  idempotencyKey?: string;
  /** Overrides the session's `verbatimPrompts`. */
  verbatimPrompts?: boolean;
  /**
   * Who asks, in the application's own words, up to 256 characters, such as a user's id. It is kept with the turn: `Turn.by`,
   * `session.turns()`, `session.history()` and the event `turn_accepted` have it. Claude does not see it.
   */
  by?: string;
  /**
   * The caller's own data about the turn: a JSON object of up to 16 kB. It is kept with the
   * turn: `Turn.metadata`, `session.turns()` and the event `turn_accepted` have it. Claude does not see it.
   */
  metadata?: JsonObject;
  /** Aborting it ends the call at once: a waiting turn never runs, a running one is stopped. */
  signal?: AbortSignal;
  /**
   * Parses the structured answer and gives `reply.structured` its type. Requires a session with an `outputSchema` or
   * `outputFormat`, which makes Claude answer in that form.
   */
  outputSchema?: z.ZodType<Structured>;
}

export interface TurnSettings {
  readonly timeoutMs: number | undefined;
  readonly queueTimeoutMs: number;
  readonly whenBusy: WhenBusy;
  readonly idempotencyKey: string | undefined;
  readonly verbatimPrompts: boolean;
  readonly by: string | undefined;
  readonly metadata: JsonObject | undefined;
  readonly signal: AbortSignal | undefined;
  readonly output: z.ZodType | undefined;
}

const turnSchema = z.strictObject({
  timeout: durationSchema.optional(),
  queueTimeout: durationSchema.optional(),
  whenBusy: z.enum(["enqueue", "reject", "interrupt", "rollback", "steer"]).optional(),
  idempotencyKey: z.string().min(1).max(512).optional(),
  verbatimPrompts: z.boolean().optional(),
  by: askerSchema.optional(),
  metadata: metadataSchema.optional(),
  signal: z.instanceof(AbortSignal).optional(),
  outputSchema: z.custom<z.ZodType>(isZodSchema, "expected a zod schema").optional(),
});

/** {@link TurnOptions} with durations in milliseconds. */
interface CheckedTurnOptions {
  readonly timeout?: number | undefined;
  readonly queueTimeout?: number | undefined;
  readonly whenBusy?: WhenBusy | undefined;
  readonly idempotencyKey?: string | undefined;
  readonly verbatimPrompts?: boolean | undefined;
  readonly by?: string | undefined;
  readonly metadata?: JsonObject | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly outputSchema?: z.ZodType | undefined;
}

/** Checks a turn's options as far as possible without its session. @throws CastellanError `INVALID_OPTIONS` */
export function checkTurnOptions<Structured>(options: TurnOptions<Structured>, what: string): CheckedTurnOptions {
  const names = Object.keys(options ?? {});
  // The usual call needs no schema, which costs more than the rest of the call.
  if (names.length === 0 && isPlain(options)) return {};
  const misplaced = names.filter((name) => !(name in turnSchema.shape) && sessionFields.has(name));
  if (misplaced.length > 0) {
    const message = "is an option of a session, not of a turn; a running process cannot change it";
    throw invalidOptions(
      what,
      misplaced.map((field) => ({ field, message })),
    );
  }
  return validate(turnSchema, options, what);
}

function isPlain(value: unknown): boolean {
  return typeof value === "object" && value !== null && Object.getPrototypeOf(value) === Object.prototype;
}

/**
 * Returns the settings of a turn. Refuses options that shape the process, such as `systemPrompt`, because a running
 * process would ignore them.
 *
 * @throws CastellanError `INVALID_OPTIONS`
 */
export function turnSettings<Structured>(options: TurnOptions<Structured>, session: SessionSettings): TurnSettings {
  const what = `turn of session ${formatName(session.name)}`;
  const parsed = checkTurnOptions(options, what);
  if (parsed.outputSchema !== undefined && session.sdk.outputFormat === undefined) {
    const message = "requires a session with an `outputSchema` or `outputFormat`; a running process cannot change it";
    throw invalidOptions(what, [{ field: "outputSchema", message }]);
  }
  return {
    timeoutMs: parsed.timeout ?? session.timeout,
    queueTimeoutMs: parsed.queueTimeout ?? session.queueTimeout,
    whenBusy: parsed.whenBusy ?? session.whenBusy,
    idempotencyKey: parsed.idempotencyKey,
    verbatimPrompts: parsed.verbatimPrompts ?? session.verbatimPrompts,
    by: parsed.by,
    metadata: parsed.metadata,
    signal: parsed.signal,
    output: parsed.outputSchema ?? session.output,
  };
}

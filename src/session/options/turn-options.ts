import { z } from "zod";
import type { Duration } from "../../duration.ts";
import { formatName } from "../../names.ts";
import type { WhenBusy } from "./options.ts";
import { isZodSchema } from "./output-schema.ts";
import { type SessionSettings, sessionFields } from "./session-settings.ts";
import { durationSchema, invalidOptions, validate } from "./validation.ts";

/** Options that one turn can be asked with. Each takes the place of the session's own. */
export interface TurnOptions<Structured = unknown> {
  /** As the session's `timeout`. */
  timeout?: Duration;
  /** As the session's `queueTimeout`. */
  queueTimeout?: Duration;
  /** As the session's `whenBusy`. */
  whenBusy?: WhenBusy;
  /**
   * Makes it safe to ask again: the same key gives the same turn and the same reply, also after a restart of the application,
   * for as long as the journal keeps the turn. Only the first call's other options count. Each session has keys of its own.
   */
  idempotencyKey?: string;
  /** As the session's `verbatimPrompts`. */
  verbatimPrompts?: boolean;
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
  readonly idempotencyKey: string | undefined;
  readonly verbatimPrompts: boolean;
  readonly signal: AbortSignal | undefined;
  readonly output: z.ZodType | undefined;
}

const turnSchema = z.strictObject({
  timeout: durationSchema.optional(),
  queueTimeout: durationSchema.optional(),
  whenBusy: z.enum(["enqueue", "reject", "interrupt", "rollback"]).optional(),
  idempotencyKey: z.string().min(1).max(512).optional(),
  verbatimPrompts: z.boolean().optional(),
  signal: z.instanceof(AbortSignal).optional(),
  outputSchema: z.custom<z.ZodType>(isZodSchema, "expected a zod schema").optional(),
});

/** {@link TurnOptions}, with spans in milliseconds. */
interface CheckedTurnOptions {
  readonly timeout?: number | undefined;
  readonly queueTimeout?: number | undefined;
  readonly whenBusy?: WhenBusy | undefined;
  readonly idempotencyKey?: string | undefined;
  readonly verbatimPrompts?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly outputSchema?: z.ZodType | undefined;
}

/** What can be said of a turn's options without its session. @throws CastellanError `INVALID_OPTIONS` */
export function checkTurnOptions<Structured>(options: TurnOptions<Structured>, what: string): CheckedTurnOptions {
  const misplaced = Object.keys(options ?? {}).filter((name) => !(name in turnSchema.shape) && sessionFields.has(name));
  if (misplaced.length > 0) {
    const message = "is an option of a session, not of a turn; a process that runs cannot take it up";
    throw invalidOptions(
      what,
      misplaced.map((field) => ({ field, message })),
    );
  }
  return validate(turnSchema, options, what);
}

/**
 * The settings of a turn. An option that shapes the process, such as `systemPrompt`, is refused: a live process would
 * ignore it.
 *
 * @throws CastellanError `INVALID_OPTIONS`
 */
export function turnSettings<Structured>(options: TurnOptions<Structured>, session: SessionSettings): TurnSettings {
  const what = `turn of session ${formatName(session.name)}`;
  const parsed = checkTurnOptions(options, what);
  if (parsed.outputSchema !== undefined && session.sdk.outputFormat === undefined) {
    const message = "needs a session that has one too; a process that runs cannot be told";
    throw invalidOptions(what, [{ field: "outputSchema", message }]);
  }
  return {
    timeoutMs: parsed.timeout ?? session.timeout,
    queueTimeoutMs: parsed.queueTimeout ?? session.queueTimeout,
    whenBusy: parsed.whenBusy ?? session.whenBusy,
    idempotencyKey: parsed.idempotencyKey,
    verbatimPrompts: parsed.verbatimPrompts ?? session.verbatimPrompts,
    signal: parsed.signal,
    output: parsed.outputSchema ?? session.output,
  };
}

import { randomUUID } from "node:crypto";
import type { z } from "zod";
import { find, type SessionRef } from "./application/reference.ts";
import { registry } from "./application/registry.ts";
import { Supervisor } from "./application/supervisor.ts";
import { CastellanError, type ExitRecord } from "./errors.ts";
import type { SessionDefaults } from "./session/options.ts";
import type { Reply } from "./session/reply.ts";
import type { Session } from "./session/session.ts";
import type { Turn } from "./session/turn.ts";
import type { TurnOptions } from "./session/turn-options.ts";

/**
 * Asks a session of this process by name, whichever supervisor holds it, and waits for the answer.
 *
 * @throws CastellanError `SESSION_NOT_FOUND`, and what {@link Session.query} throws
 * @example
 * const { text } = await query("reviewer", `Review this function:\n${source}`, { timeout: "2m" });
 */
export async function query<Structured = unknown>(
  session: SessionRef,
  prompt: string,
  options: TurnOptions<Structured> = {},
): Promise<Reply<Structured>> {
  return await find(session).query(prompt, options);
}

/**
 * Asks a session of this process by name and returns the turn, to be read while it runs.
 *
 * @throws CastellanError `SESSION_NOT_FOUND`, and what {@link Session.stream} throws
 * @example
 * for await (const text of stream("assistant", "Analyse this data").text()) process.stdout.write(text);
 */
export function stream<Structured = unknown>(
  session: SessionRef,
  prompt: string,
  options: TurnOptions<Structured> = {},
): Turn<Structured> {
  return find(session).stream(prompt, options);
}

/**
 * The session of this name, whichever supervisor of this process holds it.
 *
 * @throws CastellanError `SESSION_NOT_FOUND`
 */
export function session(name: SessionRef): Session {
  return find(name);
}

/** Options of a turn with a session of its own. */
export interface OnceOptions<Structured = unknown>
  extends Omit<
      SessionDefaults,
      | "timeout"
      | "queueTimeout"
      | "whenBusy"
      | "mailboxLimit"
      | "budget"
      | "onInterruptedTurn"
      | "restart"
      | "outputSchema"
    >,
    Pick<TurnOptions, "timeout" | "signal"> {
  /** The form of the answer, which then stands in `reply.structured`. */
  outputSchema?: z.ZodType<Structured>;
}

/**
 * Asks once, in a session and process of its own that end with the answer. Nothing is restarted; a turn that is cut fails.
 * Deadline and signal count from the call; what ends the call is thrown when no process is left.
 *
 * @throws CastellanError `INVALID_OPTIONS`, how the turn can end, or `START_FAILED` with the exit if there was no process
 * @example
 * const { text } = await once("Summarise this: …", { model: "claude-haiku-4-5", timeout: "1m" });
 */
export async function once<Structured = unknown>(
  prompt: string,
  options: OnceOptions<Structured> = {},
): Promise<Reply<Structured>> {
  const { timeout, signal, ...shape } = options;
  const turn: TurnOptions<Structured> = {
    ...(timeout === undefined ? {} : { timeout }),
    ...(signal === undefined ? {} : { signal }),
    ...(options.outputSchema === undefined ? {} : { outputSchema: options.outputSchema }),
  };
  const name = ["once", randomUUID()] as const;
  const own = { ...shape, name, restart: "temporary", onInterruptedTurn: "fail" } as const;
  const silent = { info: () => {}, warn: () => {} };
  const starting = Supervisor.start([own], { logger: silent, journal: "memory" });
  let session: Session | undefined;
  try {
    // Asked before the process is up, so that deadline and signal count from the call.
    session = registry.find(name);
    return await session.query(prompt, turn);
  } catch (error) {
    // Nobody is there to be asked if the options were refused.
    if (session === undefined) await starting;
    throw startFailure(error, session?.status().lastExit) ?? error;
  } finally {
    await session?.[Symbol.asyncDispose]();
    await starting.then(
      (supervisor) => supervisor.stop(),
      () => {},
    );
  }
}

/** What ended a session that nobody knows, in words that do not speak of it. */
function startFailure(error: unknown, exit: ExitRecord | undefined): CastellanError<"START_FAILED"> | undefined {
  const never = CastellanError.is(error, "SESSION_STOPPED") || CastellanError.is(error, "SESSION_QUARANTINED");
  if (!never || exit === undefined) return undefined;
  const message = `The process for a single turn could not be started: ${exit.message}.`;
  return new CastellanError("START_FAILED", message, { details: { exit }, cause: error });
}

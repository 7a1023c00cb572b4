import { registry } from "./application/registry.ts";
import type { SessionRef } from "./application/supervisor.ts";
import type { TurnOptions } from "./session/options.ts";
import type { Reply } from "./session/reply.ts";
import { isSession, type Session } from "./session/session.ts";
import type { Turn } from "./session/turn.ts";

/**
 * Asks a session of this process by name, whichever supervisor holds it, and waits for the answer.
 *
 * @throws CastellanError `SESSION_NOT_FOUND`, and what {@link Session.query} throws
 * @example
 * const { text } = await query("reviewer", `Review this function:\n${source}`, { timeout: "2m" });
 */
export async function query(session: SessionRef, prompt: string, options: TurnOptions = {}): Promise<Reply> {
  return await find(session).query(prompt, options);
}

/**
 * Asks a session of this process by name and returns the turn, to be read while it runs.
 *
 * @throws CastellanError `SESSION_NOT_FOUND`, and what {@link Session.stream} throws
 * @example
 * for await (const text of stream("assistant", "Analyse this data").text()) process.stdout.write(text);
 */
export function stream(session: SessionRef, prompt: string, options: TurnOptions = {}): Turn {
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

function find(session: SessionRef): Session {
  return isSession(session) ? session : registry.find(session);
}

import type { Clock } from "../../clock.ts";
import { CastellanError } from "../../errors.ts";
import { withoutUndefined } from "../../fields.ts";
import type { Turn } from "../../session/streams/turn.ts";
import { hasEnded } from "../../session/streams/turn-state.ts";
import type { WireError } from "../../wire/error.ts";
import type { Json, JsonObject } from "../../wire/json.ts";
import type { Turn as ShownTurn } from "../../wire/turn.ts";

/** Returns an error of a turn, which the record of its session has, too. */
export function wireError(error: unknown): WireError {
  if (!CastellanError.is(error)) return { code: "INTERNAL", message: "The turn failed for a reason of the server's." };
  const { code, message } = error;
  // The details of all codes are JSON.
  const details = error.details as object as JsonObject;
  return { code, message, ...(Object.keys(details).length > 0 && { details }) };
}

/** Waits until a turn has ended, for at most `ms` milliseconds, or until `signal` is aborted. */
export async function turnEnd(turn: Turn, ms: number, clock: Clock, signal: AbortSignal): Promise<void> {
  if (ms === 0 || hasEnded(turn.state) || signal.aborted) return;
  const { promise, resolve } = Promise.withResolvers<void>();
  const done = (): void => resolve();
  const timer = clock.schedule(ms, done);
  signal.addEventListener("abort", done, { once: true });
  turn.result().then(done, done);
  await promise;
  timer.cancel();
  signal.removeEventListener("abort", done);
}

/**
 * Returns a turn as the API shows it: an ended one with its reply or its error.
 *
 * @throws CastellanError why the turn has ended only here, and continues after the next start or on another node: it has no end yet
 */
export async function shownTurn(turn: Turn): Promise<ShownTurn> {
  if (turn.continues) await turn.result();
  const end = hasEnded(turn.state) ? await endOf(turn) : {};
  const { id, state, origin, by, metadata, promptId, touched } = turn;
  return { id, state, origin, touched, ...withoutUndefined({ by, metadata, promptId }), ...end };
}

async function endOf(turn: Turn): Promise<Pick<ShownTurn, "reply" | "error">> {
  try {
    const { structured, ...reply } = await turn.result();
    // Claude gave it as JSON. A schema of the application may have made something else of it, which JSON then shows.
    return { reply: { ...reply, ...(structured !== undefined && { structured: structured as Json }) } };
  } catch (error) {
    return { error: wireError(error) };
  }
}

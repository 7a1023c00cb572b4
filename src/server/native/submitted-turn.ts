import type { GlobalSession } from "../../cluster/global-session.ts";
import type { Pool } from "../../pool/pool.ts";
import type { Session } from "../../session/session.ts";
import { hasEnded } from "../../session/streams/turn-state.ts";
import { type SubmittedTurn, submittedTurnSchema, type TurnQuery } from "../../wire/turn.ts";
import { requireScope } from "../access/reach.ts";
import type { Caller } from "../http/caller.ts";
import { laterJson } from "../http/later-json.ts";
import type { OperationAnswer, OperationRequest } from "./operation.ts";
import { shownTurn, turnEnd } from "./shown-turn.ts";

/** The answer to a prompt. */
export const SUBMITTED: OperationAnswer = {
  status: 202,
  contentType: "application/json",
  schema: submittedTurnSchema,
  description: "The turn's id. `Location` has the path of the turn, relative to that of the request.",
};

/** Refuses a caller who wants to wait for a turn but may not read it. @throws RequestError `FORBIDDEN` */
export function requireWait(caller: Caller, { waitMs = 0 }: TurnQuery): void {
  if (waitMs > 0) requireScope(caller, "read");
}

/**
 * Answers a prompt that is in the journal: at once, or with the end of its turn. The head tells the turn's id at once, so that a client
 * whose connection breaks can ask for the turn.
 */
export function submittedTurn(
  of: Session | GlobalSession | Pool,
  id: string,
  {
    query: { waitMs = 0 },
    clock,
    signal,
  }: Pick<OperationRequest<unknown, TurnQuery, unknown>, "query" | "clock" | "signal">,
): Response {
  const init = {
    status: SUBMITTED.status,
    headers: { location: `turns/${encodeURIComponent(id)}`, "cache-control": "no-store" },
  };
  if (waitMs === 0) return Response.json({ id } satisfies SubmittedTurn, init);
  const ended = async (): Promise<SubmittedTurn> => {
    const turn = await of.turn(id);
    if (turn === undefined) return { id };
    await turnEnd(turn, waitMs, clock, signal);
    return hasEnded(turn.state) ? { id, turn: await shownTurn(turn) } : { id };
  };
  // The prompt has been accepted, whatever becomes of the wait. A client that asks for the turn gets the error.
  return laterJson(
    ended().catch(() => ({ id })),
    init,
  );
}

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

/** How long the head of the answer waits for a turn that ends soon, so that both are one write, in milliseconds. */
const HEAD_MS = 100;

/** Refuses a caller who wants to wait for a turn but may not read it. @throws RequestError `FORBIDDEN` */
export function requireWait(caller: Caller, { waitMs = 0 }: TurnQuery): void {
  if (waitMs > 0) requireScope(caller, "read");
}

/**
 * Answers a prompt that is in the journal: at once, or with the end of its turn. Of a turn that takes longer, the head tells the id
 * before, so that a client whose connection breaks can ask for the turn.
 */
export async function submittedTurn(
  of: Session | GlobalSession | Pool,
  id: string,
  {
    query: { waitMs = 0 },
    clock,
    signal,
  }: Pick<OperationRequest<unknown, TurnQuery, unknown>, "query" | "clock" | "signal">,
): Promise<Response> {
  const { status } = SUBMITTED;
  const init = { status, headers: { location: `turns/${encodeURIComponent(id)}`, "cache-control": "no-store" } };
  const inTime = async (ms: number): Promise<SubmittedTurn | undefined> => {
    const turn = await of.turn(id);
    if (turn === undefined) return { id };
    await turnEnd(turn, ms, clock, signal);
    return hasEnded(turn.state) ? { id, turn: await shownTurn(turn) } : undefined;
  };
  // The prompt has been accepted, whatever becomes of the wait. A client that asks for the turn gets the error.
  const soon = waitMs === 0 ? { id } : await inTime(Math.min(HEAD_MS, waitMs)).catch(() => ({ id }));
  if (soon !== undefined || waitMs <= HEAD_MS) return Response.json((soon ?? { id }) satisfies SubmittedTurn, init);
  return laterJson(
    inTime(waitMs - HEAD_MS)
      .catch(() => undefined)
      .then((late) => late ?? { id }),
    init,
  );
}

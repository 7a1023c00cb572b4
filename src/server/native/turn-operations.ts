import type { GlobalSession } from "../../cluster/global-session.ts";
import { withoutUndefined } from "../../fields.ts";
import type { Pool } from "../../pool/pool.ts";
import type { Session } from "../../session/session.ts";
import type { Turn } from "../../session/streams/turn.ts";
import type { TurnListOptions, TurnSummary } from "../../session/turns/turn-summary.ts";
import { sessionParams, turnParams } from "../../wire/params.ts";
import {
  type AcceptedTurn,
  acceptedTurnSchema,
  enqueueTurnSchema,
  type SteerTurn,
  steerTurnSchema,
  submitQuerySchema,
  type TurnListQuery,
  type TurnPage,
  turnListSchema,
  turnPageSchema,
  turnQuerySchema,
  turnSchema,
} from "../../wire/turn.ts";
import type { Caller } from "../http/caller.ts";
import { RequestError } from "../http/request-error.ts";
import { givenPrompt } from "./given-prompt.ts";
import { jsonOperation, type Operation, operation } from "./operation.ts";
import { reachedSession } from "./reached-session.ts";
import { type ShowName, shownNames } from "./shown-name.ts";
import { shownTurn, turnEnd } from "./shown-turn.ts";
import { requireWait, SUBMITTED, submittedTurn } from "./submitted-turn.ts";

const listTurns = jsonOperation(
  {
    id: "listTurns",
    tag: "Turns",
    method: "get",
    path: "/sessions/{name}/turns",
    scope: "read",
    summary: "Lists the turns of a session, the newest first.",
    params: sessionParams,
    query: turnListSchema,
    answer: turnPageSchema,
  },
  async (request) =>
    await turnPage(await reachedSession(request, request.params.name), request.query, shownNames(request.supervisor)),
);

const enqueueTurn = operation(
  {
    id: "enqueueTurn",
    tag: "Turns",
    method: "post",
    path: "/sessions/{name}/turns",
    scope: "talk",
    summary:
      "Gives a session a prompt. Answers with the turn's id once the turn is in the journal, on request with its end.",
    description:
      "The name of a template's session creates it. With an idempotency key, a second request returns the same turn, and only the " +
      "options of the first count.",
    params: sessionParams,
    query: submitQuerySchema,
    body: enqueueTurnSchema,
    answer: SUBMITTED,
  },
  async (request) => {
    const { params, query, body, caller, headers } = request;
    const { prompt, ...options } = body;
    requireWait(caller, query);
    const session = await reachedSession(request, params.name, { named: true });
    const idempotencyKey = options.idempotencyKey ?? keyIn(headers);
    const own = withoutUndefined({ ...options, idempotencyKey, by: caller.id });
    return submittedTurn(session, await session.enqueue(givenPrompt(prompt, caller), own), request);
  },
);

const getTurn = jsonOperation(
  {
    id: "getTurn",
    tag: "Turns",
    method: "get",
    path: "/sessions/{name}/turns/{turn}",
    scope: "read",
    summary: "Returns a turn that waits, runs or has ended. Waits for its end on request.",
    params: turnParams,
    query: turnQuerySchema,
    answer: turnSchema,
  },
  async (request) => {
    const { params, query, clock, signal } = request;
    const turn = await turnOf(await reachedSession(request, params.name), params.turn);
    await turnEnd(turn, query.waitMs ?? 0, clock, signal);
    return await shownTurn(turn);
  },
);

const steerTurn = jsonOperation(
  {
    id: "steerTurn",
    tag: "Turns",
    method: "post",
    path: "/sessions/{name}/turns/{turn}/steer",
    scope: "talk",
    summary: "Gives a message to a turn that waits or runs. Answers with the id of the turn that has it.",
    params: turnParams,
    body: steerTurnSchema,
    answer: acceptedTurnSchema,
  },
  async (request) => {
    const { params, body, caller } = request;
    const turn = await turnOf(await reachedSession(request, params.name), params.turn);
    return await steered(turn, body, caller);
  },
);

const interruptTurn = jsonOperation(
  {
    id: "interruptTurn",
    tag: "Turns",
    method: "post",
    path: "/sessions/{name}/turns/{turn}/interrupt",
    scope: "talk",
    idempotent: true,
    summary: "Stops a turn, and answers once it has ended. A waiting one never runs.",
    description: "Does nothing to a turn that has ended.",
    params: turnParams,
    answer: turnSchema,
  },
  async (request) => {
    const { params } = request;
    const turn = await turnOf(await reachedSession(request, params.name), params.turn);
    await turn.interrupt();
    return await shownTurn(turn);
  },
);

/** The operations on the turns of sessions. */
export const turnOperations: readonly Operation[] = [listTurns, enqueueTurn, getTurn, steerTurn, interruptTurn];

/** Returns the idempotency key in the headers, if any. */
export function keyIn(headers: Headers): string | undefined {
  return headers.get("idempotency-key") ?? undefined;
}

/** Gives a message to a turn in the caller's name. Returns the id of the turn that has it. @throws CastellanError as `Turn.steer` */
export async function steered(turn: Turn, { text, afterEnd }: SteerTurn, caller: Caller): Promise<AcceptedTurn> {
  const { id } = await turn.steer(text, { by: caller.id, ...withoutUndefined({ afterEnd }) });
  return { id };
}

/** @throws RequestError `NOT_FOUND` */
export async function turnOf(of: Session | GlobalSession | Pool, id: string): Promise<Turn> {
  const turn = await of.turn(id);
  if (turn === undefined) throw new RequestError("NOT_FOUND", "There is no turn of this id, or it is no longer kept.");
  return turn;
}

/** Returns a page of turns, the newest first. */
export async function turnPage(
  of: { turns(options: TurnListOptions): Promise<readonly TurnSummary[]> },
  query: TurnListQuery,
  show: ShowName,
): Promise<TurnPage> {
  const found = await of.turns(withoutUndefined(query));
  const turns = found.map(({ member, ...turn }) => ({
    ...turn,
    ...(member !== undefined && { member: show(member) }),
  }));
  // Only an empty page has nothing before it.
  return { turns, next: turns.at(-1)?.id ?? null };
}

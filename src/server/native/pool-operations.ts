import { CastellanError } from "../../errors.ts";
import { withoutUndefined } from "../../fields.ts";
import type { Pool } from "../../pool/pool.ts";
import type { PoolStatus } from "../../pool/pool-status.ts";
import { poolParams, poolTurnParams } from "../../wire/params.ts";
import { enqueueJobSchema, poolListSchema, poolSchema, type PoolStatus as ShownPool } from "../../wire/pool.ts";
import {
  acceptedTurnSchema,
  steerTurnSchema,
  submitQuerySchema,
  turnListSchema,
  turnPageSchema,
  turnQuerySchema,
  turnSchema,
} from "../../wire/turn.ts";
import { mayReach } from "../access/reach.ts";
import { givenPrompt } from "./given-prompt.ts";
import { jsonOperation, type Operation, type OperationRequest, operation } from "./operation.ts";
import { type ShowName, shownNames } from "./shown-name.ts";
import { shownTurn, turnEnd } from "./shown-turn.ts";
import { requireWait, SUBMITTED, submittedTurn } from "./submitted-turn.ts";
import { keyIn, steered, turnOf, turnPage } from "./turn-operations.ts";

const listPools = jsonOperation(
  {
    id: "listPools",
    tag: "Pools",
    method: "get",
    path: "/pools",
    scope: "read",
    summary: "Lists the pools of the supervisor, with their members.",
    answer: poolListSchema,
  },
  ({ supervisor, caller }) => {
    const show = shownNames(supervisor);
    const reached = supervisor.listPools().filter(({ name }) => mayReach(caller, name, undefined));
    return { pools: reached.map((status) => shownPool(status, show)) };
  },
);

const getPool = jsonOperation(
  {
    id: "getPool",
    tag: "Pools",
    method: "get",
    path: "/pools/{pool}",
    scope: "read",
    summary: "Returns the state of a pool.",
    params: poolParams,
    answer: poolSchema,
  },
  (request) => shownPool(reachedPool(request, request.params.pool).status(), shownNames(request.supervisor)),
);

const listPoolTurns = jsonOperation(
  {
    id: "listPoolTurns",
    tag: "Pools",
    method: "get",
    path: "/pools/{pool}/turns",
    scope: "read",
    summary: "Lists the turns of a pool, the newest first: waiting jobs, then the turns of its members.",
    params: poolParams,
    query: turnListSchema,
    answer: turnPageSchema,
  },
  async (request) =>
    await turnPage(reachedPool(request, request.params.pool), request.query, shownNames(request.supervisor)),
);

const enqueueJob = operation(
  {
    id: "enqueueJob",
    tag: "Pools",
    method: "post",
    path: "/pools/{pool}/turns",
    scope: "talk",
    summary: "Gives a pool a job. Answers with the turn's id once the job is in the journal, on request with its end.",
    params: poolParams,
    query: submitQuerySchema,
    body: enqueueJobSchema,
    answer: SUBMITTED,
  },
  async (request) => {
    const { params, query, body, caller, headers } = request;
    const { prompt, ...options } = body;
    requireWait(caller, query);
    const idempotencyKey = options.idempotencyKey ?? keyIn(headers);
    const own = withoutUndefined({ ...options, idempotencyKey, by: caller.id });
    const pool = reachedPool(request, params.pool);
    return submittedTurn(pool, await pool.enqueue(givenPrompt(prompt, caller), own), request);
  },
);

const getPoolTurn = jsonOperation(
  {
    id: "getPoolTurn",
    tag: "Pools",
    method: "get",
    path: "/pools/{pool}/turns/{turn}",
    scope: "read",
    summary: "Returns a turn of a pool. Waits for its end on request.",
    params: poolTurnParams,
    query: turnQuerySchema,
    answer: turnSchema,
  },
  async (request) => {
    const { params, query, clock, signal } = request;
    const turn = await turnOf(reachedPool(request, params.pool), params.turn);
    await turnEnd(turn, query.waitMs ?? 0, clock, signal);
    return await shownTurn(turn);
  },
);

const steerPoolTurn = jsonOperation(
  {
    id: "steerPoolTurn",
    tag: "Pools",
    method: "post",
    path: "/pools/{pool}/turns/{turn}/steer",
    scope: "talk",
    summary: "Gives a message to a turn of a pool that waits or runs.",
    params: poolTurnParams,
    body: steerTurnSchema,
    answer: acceptedTurnSchema,
  },
  async (request) => {
    const { params, body, caller } = request;
    const turn = await turnOf(reachedPool(request, params.pool), params.turn);
    return await steered(turn, body, caller);
  },
);

const interruptPoolTurn = jsonOperation(
  {
    id: "interruptPoolTurn",
    tag: "Pools",
    method: "post",
    path: "/pools/{pool}/turns/{turn}/interrupt",
    scope: "talk",
    idempotent: true,
    summary: "Stops a turn of a pool, and answers once it has ended. A waiting job never runs.",
    params: poolTurnParams,
    answer: turnSchema,
  },
  async (request) => {
    const turn = await turnOf(reachedPool(request, request.params.pool), request.params.turn);
    await turn.interrupt();
    return await shownTurn(turn);
  },
);

/** The operations on pools. A caller who reaches only certain labels reaches no pool, since pools have none. */
export const poolOperations: readonly Operation[] = [
  listPools,
  getPool,
  listPoolTurns,
  enqueueJob,
  getPoolTurn,
  steerPoolTurn,
  interruptPoolTurn,
];

/** @throws CastellanError `POOL_NOT_FOUND` also for one out of reach */
function reachedPool(
  { supervisor, caller }: Pick<OperationRequest<unknown, unknown, unknown>, "supervisor" | "caller">,
  name: string,
): Pool {
  if (mayReach(caller, name, undefined)) return supervisor.pool(name);
  throw new CastellanError("POOL_NOT_FOUND", `There is no pool ${JSON.stringify(name)}.`, {
    details: { nearMisses: [] },
  });
}

/** Returns a pool as the API shows it. */
export function shownPool(status: PoolStatus, show: ShowName): ShownPool {
  return { ...status, members: status.members.map((member) => ({ ...member, name: show(member.name) })) };
}

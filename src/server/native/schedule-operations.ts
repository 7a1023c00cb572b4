import { withoutUndefined } from "../../fields.ts";
import type { Session } from "../../session/session.ts";
import { isGlobal, type WireName } from "../../wire/name.ts";
import { scheduleParams, sessionParams } from "../../wire/params.ts";
import { cancelledScheduleSchema, createScheduleSchema, scheduleListSchema } from "../../wire/schedule.ts";
import { acceptedTurnSchema } from "../../wire/turn.ts";
import { RequestError } from "../http/request-error.ts";
import { givenPrompt } from "./given-prompt.ts";
import { jsonOperation, type Operation, type OperationRequest } from "./operation.ts";
import { reachedSession } from "./reached-session.ts";
import { keyIn } from "./turn-operations.ts";

const listSchedules = jsonOperation(
  {
    id: "listSchedules",
    tag: "Turns",
    method: "get",
    path: "/sessions/{name}/schedules",
    scope: "read",
    summary: "Lists the prompts that run later, the next first.",
    description: "Not for global sessions.",
    params: sessionParams,
    answer: scheduleListSchema,
  },
  async (request) => ({ schedules: await (await localSession(request, request.params.name)).schedules() }),
);

const createSchedule = jsonOperation(
  {
    id: "createSchedule",
    tag: "Turns",
    method: "post",
    path: "/sessions/{name}/schedules",
    scope: "talk",
    summary: "Runs a prompt later, or again and again. Answers with the schedule's id.",
    description: "Not for global sessions. The same idempotency key with `every` replaces the schedule.",
    params: sessionParams,
    body: createScheduleSchema,
    answer: acceptedTurnSchema,
    status: 202,
  },
  async (request) => {
    const { params, body, caller, headers } = request;
    const { prompt, ...options } = body;
    const session = await localSession(request, params.name, { named: true });
    const idempotencyKey = options.idempotencyKey ?? keyIn(headers);
    const own = withoutUndefined({ ...options, idempotencyKey, by: caller.id });
    return { id: await session.enqueue(givenPrompt(prompt, caller), own) };
  },
);

const cancelSchedule = jsonOperation(
  {
    id: "cancelSchedule",
    tag: "Turns",
    method: "delete",
    path: "/sessions/{name}/schedules/{schedule}",
    scope: "talk",
    idempotent: true,
    summary: "Cancels a schedule. Its turns that wait or run are unaffected.",
    params: scheduleParams,
    answer: cancelledScheduleSchema,
  },
  async (request) => {
    const { params } = request;
    return { cancelled: await (await localSession(request, params.name)).cancelSchedule(params.schedule) };
  },
);

/** The operations on prompts that run later. */
export const scheduleOperations: readonly Operation[] = [listSchedules, createSchedule, cancelSchedule];

/** @throws RequestError `UNSUPPORTED` for a global session; CastellanError `SESSION_NOT_FOUND` */
async function localSession(
  request: Pick<OperationRequest<unknown, unknown, unknown>, "supervisor" | "caller">,
  name: WireName,
  options: { readonly named?: boolean } = {},
): Promise<Session> {
  if (isGlobal(name)) throw new RequestError("UNSUPPORTED", "A global session has no schedules.");
  await reachedSession(request, name, options);
  return request.supervisor.session(name);
}

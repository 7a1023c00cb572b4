import { withoutUndefined } from "../../fields.ts";
import { scheduleParams, sessionParams } from "../../wire/params.ts";
import { cancelledScheduleSchema, createScheduleSchema, scheduleListSchema } from "../../wire/schedule.ts";
import { acceptedTurnSchema } from "../../wire/turn.ts";
import { givenPrompt } from "./given-prompt.ts";
import { jsonOperation, type Operation } from "./operation.ts";
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
    params: sessionParams,
    answer: scheduleListSchema,
  },
  async (request) => ({ schedules: await (await reachedSession(request, request.params.name)).schedules() }),
);

const createSchedule = jsonOperation(
  {
    id: "createSchedule",
    tag: "Turns",
    method: "post",
    path: "/sessions/{name}/schedules",
    scope: "talk",
    summary: "Runs a prompt later, or again and again. Answers with the schedule's id.",
    description:
      "The same idempotency key with `every` replaces the schedule. Of a global session, the cluster's database keeps it.",
    params: sessionParams,
    body: createScheduleSchema,
    answer: acceptedTurnSchema,
    status: 202,
  },
  async (request) => {
    const { params, body, caller, headers } = request;
    const { prompt, ...options } = body;
    const session = await reachedSession(request, params.name, { named: true });
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
    return { cancelled: await (await reachedSession(request, params.name)).cancelSchedule(params.schedule) };
  },
);

/** The operations on prompts that run later. */
export const scheduleOperations: readonly Operation[] = [listSchedules, createSchedule, cancelSchedule];

import { z } from "zod";
import { withoutUndefined } from "../../fields.ts";
import { eraseSessionSchema, erasureSchema } from "../../wire/erasure.ts";
import { isGlobal } from "../../wire/name.ts";
import { sessionParams } from "../../wire/params.ts";
import {
  conversationChoiceSchema,
  doneSchema,
  sessionHealthSchema,
  sessionSchema,
  touchSchema,
} from "../../wire/session.ts";
import { sessionUsageQuerySchema, usageAnswerSchema } from "../../wire/usage.ts";
import { jsonOperation, type Operation, operation } from "./operation.ts";
import { checkReach, reachedSession } from "./reached-session.ts";
import { sessionOf } from "./session-operations.ts";
import { libraryName, shownNames } from "./shown-name.ts";
import { shownUsage } from "./shown-usage.ts";

/** The facts that most operations on one session share. */
function control<const Id extends string>(
  id: Id,
  verb: string,
  summary: string,
): {
  readonly id: Id;
  readonly tag: "Sessions";
  readonly method: "post";
  readonly path: string;
  readonly scope: "operate";
  readonly summary: string;
  readonly params: typeof sessionParams;
} {
  const path = `/sessions/{name}/${verb}`;
  return { id, tag: "Sessions", method: "post", path, scope: "operate", summary, params: sessionParams };
}

const restartSession = jsonOperation(
  {
    ...control("restartSession", "restart", "Ends the process, even during a turn, and starts another one."),
    description: "Queued turns stay queued. Also brings back a quarantined session.",
    body: conversationChoiceSchema,
    answer: sessionSchema,
  },
  async (request) => {
    await (await reachedSession(request, request.params.name)).restart(withoutUndefined(request.body));
    return await sessionOf(request, request.params.name);
  },
);

const hibernateSession = jsonOperation(
  {
    ...control("hibernateSession", "hibernate", "Ends the process of an idle session, and keeps the session."),
    idempotent: true,
    answer: sessionSchema,
  },
  async (request) => {
    await (await reachedSession(request, request.params.name)).hibernate();
    return await sessionOf(request, request.params.name);
  },
);

const wakeSession = jsonOperation(
  {
    ...control("wakeSession", "wake", "Starts a process for a hibernated session. Answers once it is ready."),
    idempotent: true,
    answer: sessionSchema,
  },
  async (request) => {
    await (await reachedSession(request, request.params.name)).wake();
    return await sessionOf(request, request.params.name);
  },
);

const touchSession = jsonOperation(
  {
    ...control(
      "touchSession",
      "touch",
      "Begins to start the session's process ahead of its next turn. Does not wait for it.",
    ),
    scope: "talk",
    idempotent: true,
    description: "Does nothing if every process that may run is busy, and for an archived session.",
    answer: touchSchema,
  },
  async (request) => ({ touched: await (await reachedSession(request, request.params.name)).touch() }),
);

const interruptSession = jsonOperation(
  {
    ...control("interruptSession", "interrupt", "Stops the running turn, if any. Answers once it has ended."),
    scope: "talk",
    description: "Waiting turns continue. A second call stops the turn that runs then, so repeat it only with care.",
    answer: sessionSchema,
  },
  async (request) => {
    await (await reachedSession(request, request.params.name)).interrupt();
    return await sessionOf(request, request.params.name);
  },
);

const clearSession = jsonOperation(
  {
    ...control("clearSession", "clear", "Begins an empty conversation under the same name, with another process."),
    answer: sessionSchema,
  },
  async (request) => {
    await (await reachedSession(request, request.params.name)).clear();
    return await sessionOf(request, request.params.name);
  },
);

const stopSession = jsonOperation(
  {
    ...control("stopSession", "stop", "Ends the session and its turns. Its name becomes free."),
    description: "A later session of the name resumes the conversation, unless `conversation` is `clear`.",
    body: conversationChoiceSchema,
    answer: doneSchema,
  },
  async (request) => {
    await (await reachedSession(request, request.params.name)).stop(withoutUndefined(request.body));
    return {};
  },
);

const deleteSession = jsonOperation(
  {
    id: "deleteSession",
    tag: "Sessions",
    method: "delete",
    path: "/sessions/{name}",
    scope: "operate",
    summary: "Ends the session and forgets its conversations. Only the spending is kept.",
    params: sessionParams,
    answer: doneSchema,
  },
  async (request) => {
    await (await reachedSession(request, request.params.name)).stop({ conversation: "clear" });
    return {};
  },
);

const eraseSession = jsonOperation(
  {
    ...control("eraseSession", "erase", "Erases all data of a session, and reports the remainder."),
    idempotent: true,
    description: "The session need not exist. The spending stays, under an anonymous name.",
    body: eraseSessionSchema,
    answer: erasureSchema,
  },
  async (request) => {
    const { supervisor, params, body } = request;
    await checkReach(request, params.name);
    const name = isGlobal(params.name) ? libraryName(params.name) : params.name;
    const { memory } = body;
    const report = await supervisor.eraseSession(name, memory === undefined ? {} : { memory });
    const show = shownNames(supervisor);
    const { spentBy } = report;
    return { ...report, name: show(report.name), ...(spentBy !== undefined && { spentBy: show(spentBy) }) };
  },
);

const exportSession = operation(
  {
    id: "exportSession",
    tag: "Sessions",
    method: "get",
    path: "/sessions/{name}/export",
    scope: "operate",
    summary: "Exports the data that `eraseSession` would erase, as lines of JSON.",
    description: "An answer that breaks off is incomplete.",
    params: sessionParams,
    answer: {
      status: 200,
      contentType: "application/x-ndjson",
      schema: z.string(),
      description: "One JSON object a line, see `ExportedLine` of the library.",
    },
  },
  async (request) => {
    const { supervisor, params } = request;
    await checkReach(request, params.name);
    const lines = supervisor.exportSession(isGlobal(params.name) ? libraryName(params.name) : params.name);
    // A session that cannot be exported is answered as an error, not as a stream that breaks off.
    const first = await lines.next();
    return new Response(bytesOf(first, lines), {
      headers: { "content-type": "application/x-ndjson", "cache-control": "no-store" },
    });
  },
);

const getSessionHealth = jsonOperation(
  {
    id: "getSessionHealth",
    tag: "Sessions",
    method: "get",
    path: "/sessions/{name}/health",
    scope: "read",
    summary: "Checks whether the session works, with a request to its process that costs no tokens.",
    params: sessionParams,
    answer: sessionHealthSchema,
  },
  async (request) => await (await reachedSession(request, request.params.name)).health(),
);

const getSessionUsage = jsonOperation(
  {
    id: "getSessionUsage",
    tag: "Sessions",
    method: "get",
    path: "/sessions/{name}/usage",
    scope: "read",
    summary: "Reports the session's spending since its first start.",
    params: sessionParams,
    query: sessionUsageQuerySchema,
    answer: usageAnswerSchema,
  },
  async (request) => {
    const session = await reachedSession(request, request.params.name);
    return shownUsage(await session.usage(withoutUndefined(request.query)), shownNames(request.supervisor));
  },
);

/** The operations on one session. */
export const sessionControls: readonly Operation[] = [
  restartSession,
  hibernateSession,
  wakeSession,
  touchSession,
  interruptSession,
  clearSession,
  stopSession,
  deleteSession,
  eraseSession,
  exportSession,
  getSessionHealth,
  getSessionUsage,
];

/** Returns the lines as a stream that reads them on demand. */
function bytesOf(
  first: IteratorResult<string, void>,
  rest: AsyncGenerator<string, void, undefined>,
): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  let next: Promise<IteratorResult<string, void>> | undefined = Promise.resolve(first);
  return new ReadableStream(
    {
      async pull(controller) {
        const { done, value } = await (next ?? rest.next());
        next = undefined;
        if (done === true) controller.close();
        else controller.enqueue(encoder.encode(value));
      },
      async cancel() {
        await rest.return();
      },
    },
    { highWaterMark: 0 },
  );
}

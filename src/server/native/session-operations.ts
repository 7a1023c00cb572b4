import { withoutUndefined } from "../../fields.ts";
import { hasLabels } from "../../journal/model/session-list.ts";
import type { Session } from "../../session/session.ts";
import { isGlobal, type WireName } from "../../wire/name.ts";
import { sessionParams } from "../../wire/params.ts";
import {
  createSessionSchema,
  describeSessionSchema,
  forkSessionSchema,
  type SessionInfo,
  sessionListSchema,
  sessionPageSchema,
  sessionSchema,
} from "../../wire/session.ts";
import { mayReach, narrower } from "../access/reach.ts";
import type { Caller } from "../http/caller.ts";
import { RequestError } from "../http/request-error.ts";
import { jsonOperation, type Operation, type OperationRequest } from "./operation.ts";
import { reachedSession, sessionNotFound } from "./reached-session.ts";
import { libraryName, shownNames } from "./shown-name.ts";
import { shownGlobalSession, shownSession } from "./shown-session.ts";

type Asking = Pick<OperationRequest<unknown, unknown, unknown>, "supervisor" | "caller">;

const listSessions = jsonOperation(
  {
    id: "listSessions",
    tag: "Sessions",
    method: "get",
    path: "/sessions",
    scope: "read",
    summary: "Lists sessions by name, in memory or only in the journal.",
    description: "Global sessions are not among them, see `listGlobalSessions`.",
    query: sessionListSchema,
    answer: sessionPageSchema,
  },
  async ({ supervisor, caller, query }) => {
    const { label = {}, prefix, limit = 100, after, state } = query;
    const range = narrower(prefix, caller.prefix);
    const show = shownNames(supervisor);
    // Nothing has two values of one label, or begins with two different names.
    const labels = { ...label, ...caller.labels };
    if (range === undefined || !hasLabels(labels, label)) return { sessions: [], next: null };
    const found = await supervisor.findSessions({ labels, ...range, after, limit, state });
    const last = found.length < limit ? undefined : found.at(-1);
    const reached = found.filter((info) => mayReach(caller, info.name, info.labels));
    return { sessions: reached.map((info) => shownSession(info, show)), next: last?.name ?? null };
  },
);

const createSession = jsonOperation(
  {
    id: "createSession",
    tag: "Sessions",
    method: "post",
    path: "/sessions",
    scope: "operate",
    idempotent: true,
    summary: "Creates a session from a template, unless it exists, and sets its title and labels.",
    description:
      "Starts no process: the first turn does. A prompt for the name of a template's session creates it, too. A caller who reaches " +
      "only certain labels gives them to a session that it creates; of global sessions, it reaches only those that have them.",
    body: createSessionSchema,
    answer: sessionSchema,
  },
  async (request) => {
    const { supervisor, caller, body } = request;
    const { name, title } = body;
    const labels = ownLabels(body.labels, caller);
    const description = withoutUndefined({ title, labels });
    let session: Pick<Session, "describe">;
    if (isGlobal(name)) {
      session = await reachedSession(request, name);
    } else {
      const info = await supervisor.findSession(name);
      if (!mayReach(caller, name, info === undefined ? labels : info.labels)) throw sessionNotFound(name);
      session = supervisor.session(name);
    }
    if (Object.keys(description).length > 0) await session.describe(description);
    return await sessionOf(request, name);
  },
);

const getSession = jsonOperation(
  {
    id: "getSession",
    tag: "Sessions",
    method: "get",
    path: "/sessions/{name}",
    scope: "read",
    summary: "Returns a session, in memory or not. Brings none into memory.",
    params: sessionParams,
    answer: sessionSchema,
  },
  async (request) => await sessionOf(request, request.params.name),
);

const describeSession = jsonOperation(
  {
    id: "describeSession",
    tag: "Sessions",
    method: "patch",
    path: "/sessions/{name}",
    scope: "operate",
    idempotent: true,
    summary: "Changes the title and labels of a session, and archives it.",
    params: sessionParams,
    body: describeSessionSchema,
    answer: sessionSchema,
  },
  async (request) => {
    const { caller, params, body } = request;
    const session = await reachedSession(request, params.name);
    refuseOtherLabels(caller, body.labels);
    await session.describe(body);
    return await sessionOf(request, params.name);
  },
);

const forkSession = jsonOperation(
  {
    id: "forkSession",
    tag: "Sessions",
    method: "post",
    path: "/sessions/{name}/fork",
    scope: "operate",
    summary: "Starts a session with a copy of this conversation. The two then continue independently.",
    description:
      "The fork of a global session is the global session of that name, which must be declared and have no conversation. It has the options of its declaration, so `model` is not allowed.",
    params: sessionParams,
    body: forkSessionSchema,
    answer: sessionSchema,
    status: 201,
  },
  async (request) => {
    const { supervisor, caller, params, body } = request;
    await reachedSession(request, params.name);
    const { name, title, model } = body;
    if (isGlobal(params.name)) {
      if (model !== undefined)
        throw new RequestError("UNSUPPORTED", "The declaration of a global session has its model.");
      const copy = { global: name };
      // Its declaration has the labels by which callers reach it.
      await reachedSession(request, copy);
      refuseOtherLabels(caller, body.labels);
      const description = withoutUndefined({ title, labels: body.labels });
      await supervisor.session(libraryName(params.name)).fork(libraryName(copy), description);
      return await sessionOf(request, copy);
    }
    const labels = ownLabels(body.labels, caller);
    if (!mayReach(caller, name, labels)) {
      throw new RequestError("FORBIDDEN", "The caller may not use the name of the new session.");
    }
    await supervisor.session(params.name).fork(name, withoutUndefined({ title, model, labels }));
    return await sessionOf(request, name);
  },
);

/** The operations that find, make and describe sessions. */
export const sessionOperations: readonly Operation[] = [
  listSessions,
  createSession,
  getSession,
  describeSession,
  forkSession,
];

/** Returns a session that the caller reaches. @throws CastellanError `SESSION_NOT_FOUND` */
export async function sessionOf({ supervisor, caller }: Asking, name: WireName): Promise<SessionInfo> {
  const show = shownNames(supervisor);
  if (isGlobal(name)) {
    const session = await reachedSession({ supervisor, caller }, name);
    const status = await session.status();
    return "node" in status ? shownGlobalSession(status, show) : shownSession({ ...status, status }, show);
  }
  const info = await supervisor.findSession(name);
  if (info === undefined || !mayReach(caller, name, info.labels)) throw sessionNotFound(name);
  return shownSession(info, show);
}

/** Returns the labels of a session that the caller creates: its own are among them. @throws RequestError `FORBIDDEN` */
function ownLabels(
  labels: Readonly<Record<string, string>> | undefined,
  caller: Caller,
): Readonly<Record<string, string>> | undefined {
  refuseOtherLabels(caller, labels);
  return caller.labels === undefined ? labels : { ...labels, ...caller.labels };
}

/** Refuses to give a session another value of a label that limits the caller. @throws RequestError `FORBIDDEN` */
function refuseOtherLabels(
  { labels: own = {} }: Caller,
  labels: Readonly<Record<string, string | null>> | undefined,
): void {
  const other = Object.entries(own).find(([label, value]) => {
    return labels !== undefined && Object.hasOwn(labels, label) && labels[label] !== value;
  });
  if (other === undefined) return;
  throw new RequestError("FORBIDDEN", `The caller may not change the label ${JSON.stringify(other[0])}.`);
}

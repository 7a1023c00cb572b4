import { globalName } from "../../session/options/global-name.ts";
import {
  globalSessionListQuerySchema,
  globalSessionListSchema,
  moveSessionSchema,
  nodeListSchema,
} from "../../wire/cluster.ts";
import { isGlobal } from "../../wire/name.ts";
import { sessionParams } from "../../wire/params.ts";
import { sessionSchema } from "../../wire/session.ts";
import { mayReach } from "../access/reach.ts";
import { RequestError } from "../http/request-error.ts";
import { jsonOperation, type Operation } from "./operation.ts";
import { reachedSession } from "./reached-session.ts";
import { sessionOf } from "./session-operations.ts";
import { libraryName, shownNames } from "./shown-name.ts";

const listNodes = jsonOperation(
  {
    id: "listNodes",
    tag: "Cluster",
    method: "get",
    path: "/cluster/nodes",
    scope: "read",
    wholeReach: true,
    summary: "Lists the nodes of the cluster, dead ones included. There is none if the server is in no cluster.",
    answer: nodeListSchema,
  },
  async ({ supervisor }) => ({ nodes: (await supervisor.cluster?.nodes()) ?? [] }),
);

const listGlobalSessions = jsonOperation(
  {
    id: "listGlobalSessions",
    tag: "Cluster",
    method: "get",
    path: "/cluster/sessions",
    scope: "read",
    summary: "Lists the global sessions that have, or had, an owner.",
    description: "A caller who reaches only certain labels gets none: the list does not know labels.",
    query: globalSessionListQuerySchema,
    answer: globalSessionListSchema,
  },
  async ({ supervisor, caller, query }) => {
    const { prefix } = query;
    const all = await supervisor.cluster?.listSessions(prefix === undefined ? {} : { prefix: globalName(prefix) });
    const show = shownNames(supervisor);
    const reached = (all ?? []).filter(({ name }) => mayReach(caller, name, undefined));
    return { sessions: reached.map((session) => ({ ...session, name: show(session.name) })) };
  },
);

const moveSession = jsonOperation(
  {
    id: "moveSession",
    tag: "Cluster",
    method: "post",
    path: "/sessions/{name}/move",
    scope: "operate",
    idempotent: true,
    summary: "Moves a global session to another node. A running turn has thirty seconds to finish.",
    params: sessionParams,
    body: moveSessionSchema,
    answer: sessionSchema,
  },
  async (request) => {
    const { supervisor, params, body } = request;
    const { name } = params;
    await reachedSession(request, name);
    if (!isGlobal(name)) throw new RequestError("UNSUPPORTED", "Only a global session can move.");
    await supervisor.session(libraryName(name)).move(body.node);
    return await sessionOf(request, name);
  },
);

/** The operations on a cluster. */
export const clusterOperations: readonly Operation[] = [listNodes, listGlobalSessions, moveSession];

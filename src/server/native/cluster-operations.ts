import { withoutUndefined } from "../../fields.ts";
import { hasLabels } from "../../journal/model/session-list.ts";
import type { SessionName } from "../../names.ts";
import { type GlobalName, globalName } from "../../session/options/global-name.ts";
import {
  globalSessionListSchema,
  globalSessionPageSchema,
  movedSessionsSchema,
  moveSessionSchema,
  nodeListSchema,
  rebalanceClusterSchema,
} from "../../wire/cluster.ts";
import { isGlobal } from "../../wire/name.ts";

import { sessionParams } from "../../wire/params.ts";
import { sessionSchema } from "../../wire/session.ts";
import { bareName, mayReach, narrower } from "../access/reach.ts";
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
    summary: "Lists the global sessions that have had a turn or were described, by name.",
    description: "There is none if the server is in no cluster. Asks the database, and no node.",
    query: globalSessionListSchema,
    answer: globalSessionPageSchema,
  },
  async ({ supervisor, caller, query }) => {
    const { cluster } = supervisor;
    const { label = {}, prefix, limit = 100, after, state } = query;
    const range = narrower(prefix, caller.prefix);
    const labels = { ...label, ...caller.labels };
    if (cluster === undefined || range === undefined || !hasLabels(labels, label)) return { sessions: [], next: null };
    const place = { prefix: namedBy(range.prefix), after: namedBy(after) };
    const found = await cluster.findSessions({ ...place, labels, limit, state });
    const show = shownNames(supervisor);
    const reached = found.filter((session) => mayReach(caller, session.name, session.labels));
    const last = found.length < limit ? undefined : found.at(-1);
    return {
      sessions: reached.map((session) => ({ ...session, name: show(session.name) })),
      next: last === undefined ? null : bareName(last.name),
    };
  },
);

function namedBy(name: SessionName | undefined): GlobalName | undefined {
  return name === undefined ? undefined : globalName(name);
}

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

const rebalanceCluster = jsonOperation(
  {
    id: "rebalanceCluster",
    tag: "Cluster",
    method: "post",
    path: "/cluster/rebalance",
    scope: "operate",
    wholeReach: true,
    summary: "Moves global sessions to even out the load of the nodes, idle ones first. Answers what has moved.",
    description:
      "Sessions in mid-turn move only if nothing else evens out the load. Their turns have thirty seconds to finish. No move begins after " +
      "four minutes: ask again.",
    body: rebalanceClusterSchema,
    answer: movedSessionsSchema,
  },
  async ({ supervisor, body }) => {
    const show = shownNames(supervisor);
    const moved = (await supervisor.cluster?.rebalance(withoutUndefined(body))) ?? [];
    return { moved: moved.map(({ name, ...move }) => ({ name: show(name), ...move })) };
  },
);

/** The operations on a cluster. */
export const clusterOperations: readonly Operation[] = [listNodes, listGlobalSessions, moveSession, rebalanceCluster];

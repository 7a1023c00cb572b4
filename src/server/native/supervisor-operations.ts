import type { Supervisor } from "../../application/supervisor.ts";
import type { Duration } from "../../duration.ts";
import { withoutUndefined } from "../../fields.ts";
import { budgetListSchema } from "../../wire/budget.ts";
import { childParams } from "../../wire/params.ts";
import { storageSchema } from "../../wire/storage.ts";
import {
  capacitySchema,
  drainReportSchema,
  drainSupervisorSchema,
  healthSchema,
  serverInfoSchema,
} from "../../wire/supervisor.ts";
import { supervisorEventQuerySchema, supervisorEventSchema } from "../../wire/supervisor-event.ts";
import { type ChildList, childListSchema, treeQuerySchema, treeSchema } from "../../wire/tree.ts";
import { usageAnswerSchema, usageQuerySchema } from "../../wire/usage.ts";
import { eventStream } from "../http/sse.ts";
import { jsonOperation, type Operation, operation } from "./operation.ts";
import { shownNames } from "./shown-name.ts";
import { shownTree } from "./shown-tree.ts";
import { shownUsage } from "./shown-usage.ts";
import { RECONNECT, supervisorFrames } from "./supervisor-frames.ts";

const getServer = jsonOperation(
  {
    id: "getServer",
    tag: "Supervisor",
    method: "get",
    path: "/server",
    scope: "read",
    summary: "Returns facts about the server, and the caller's rights.",
    answer: serverInfoSchema,
  },
  ({ supervisor, caller }) => ({
    api: 1 as const,
    supervisor: supervisor.name,
    inCluster: supervisor.cluster !== undefined,
    ...withoutUndefined({ node: supervisor.node }),
    caller: {
      id: caller.id,
      scopes: [...caller.scopes],
      ...withoutUndefined({ prefix: caller.prefix, labels: caller.labels }),
    },
  }),
);

const getTree = jsonOperation(
  {
    id: "getTree",
    tag: "Supervisor",
    method: "get",
    path: "/tree",
    scope: "read",
    wholeReach: true,
    summary: "Returns the whole tree: states, processes, exits, mailboxes, budgets, and the origin of each option.",
    query: treeQuerySchema,
    answer: treeSchema,
  },
  ({ supervisor, query }) => shownTree(supervisor.inspect(), shownNames(supervisor), query),
);

const listChildren = jsonOperation(
  {
    id: "listChildren",
    tag: "Supervisor",
    method: "get",
    path: "/children",
    scope: "read",
    wholeReach: true,
    summary: "Lists and counts the children of the root supervisor, as OTP's `which_children` and `count_children`.",
    answer: childListSchema,
  },
  childrenOf,
);

const terminateChild = jsonOperation(
  {
    id: "terminateChild",
    tag: "Supervisor",
    method: "post",
    path: "/children/{child}/terminate",
    scope: "operate",
    wholeReach: true,
    idempotent: true,
    summary: "Stops a child of the root supervisor and keeps its spec, as OTP's `terminate_child`.",
    params: childParams,
    answer: childListSchema,
  },
  async (request) => {
    await request.supervisor.terminateChild(request.params.child);
    return childrenOf(request);
  },
);

const restartChild = jsonOperation(
  {
    id: "restartChild",
    tag: "Supervisor",
    method: "post",
    path: "/children/{child}/restart",
    scope: "operate",
    wholeReach: true,
    summary: "Starts a stopped or quarantined child of the root supervisor, as OTP's `restart_child`.",
    params: childParams,
    answer: childListSchema,
  },
  async (request) => {
    await request.supervisor.restartChild(request.params.child);
    return childrenOf(request);
  },
);

const deleteChild = jsonOperation(
  {
    id: "deleteChild",
    tag: "Supervisor",
    method: "delete",
    path: "/children/{child}",
    scope: "operate",
    wholeReach: true,
    summary: "Deletes a child of the root supervisor that does not run, as OTP's `delete_child`.",
    params: childParams,
    answer: childListSchema,
  },
  async (request) => {
    await request.supervisor.deleteChild(request.params.child);
    return childrenOf(request);
  },
);

const getHealth = jsonOperation(
  {
    id: "getHealth",
    tag: "Supervisor",
    method: "get",
    path: "/health",
    scope: "read",
    wholeReach: true,
    summary: "Checks the health of the supervisor and its sessions. Asks each running process, which costs no tokens.",
    answer: healthSchema,
  },
  async ({ supervisor }) => {
    const show = shownNames(supervisor);
    const health = await supervisor.health();
    return { ...health, details: health.details.map((detail) => ({ ...detail, name: show(detail.name) })) };
  },
);

const getCapacity = jsonOperation(
  {
    id: "getCapacity",
    tag: "Supervisor",
    method: "get",
    path: "/capacity",
    scope: "read",
    wholeReach: true,
    summary:
      "Returns the number of processes and running turns, their limits, sessions that wait for either, and the use of spares.",
    answer: capacitySchema,
  },
  ({ supervisor }) => supervisor.capacity(),
);

const getUsage = jsonOperation(
  {
    id: "getUsage",
    tag: "Supervisor",
    method: "get",
    path: "/usage",
    scope: "read",
    wholeReach: true,
    summary: "Reports the spending of all sessions, ended ones included, by session, model, day and label.",
    query: usageQuerySchema,
    answer: usageAnswerSchema,
  },
  async ({ supervisor, query }) => shownUsage(await supervisor.usage(withoutUndefined(query)), shownNames(supervisor)),
);

const listBudgets = jsonOperation(
  {
    id: "listBudgets",
    tag: "Supervisor",
    method: "get",
    path: "/budgets",
    scope: "read",
    wholeReach: true,
    summary: "Lists the budget of the supervisor and those of its sessions in memory, the most used first.",
    description: "On a node of a cluster, this includes its global sessions.",
    answer: budgetListSchema,
  },
  ({ supervisor }) => {
    const show = shownNames(supervisor);
    const budgets = supervisor.budgets().map(({ session, ...budget }) => {
      return { ...budget, ...(session !== undefined && { session: show(session) }) };
    });
    return { budgets };
  },
);

const getStorage = jsonOperation(
  {
    id: "getStorage",
    tag: "Supervisor",
    method: "get",
    path: "/storage",
    scope: "read",
    wholeReach: true,
    summary: "Asks the journal, and on a node the cluster's database: release, latency, faults.",
    answer: storageSchema,
  },
  async ({ supervisor }) => await supervisor.storage(),
);

const drainSupervisor = jsonOperation(
  {
    id: "drainSupervisor",
    tag: "Supervisor",
    method: "post",
    path: "/drain",
    scope: "operate",
    wholeReach: true,
    idempotent: true,
    summary: "Rejects new turns, waits for accepted ones, and stops the supervisor. Answers once it has stopped.",
    description:
      "On a node of a cluster, this is the node, whose global sessions continue on others. A lost connection cancels nothing.",
    body: drainSupervisorSchema,
    answer: drainReportSchema,
  },
  async ({ supervisor, body }) => await supervisor.drain(withoutUndefined(body) as { readonly deadline?: Duration }),
);

const streamSupervisorEvents = operation(
  {
    id: "streamSupervisorEvents",
    tag: "Supervisor",
    method: "get",
    path: "/events/stream",
    scope: "read",
    wholeReach: true,
    summary:
      "Streams the supervisor's events: states, processes, turns, approvals, pools, nodes; without prompts and answers.",
    description:
      "Server-sent events, from now on. Events are not stored, so a client that reconnects has missed some, and reads the state " +
      "again. A client that reads too slowly gets `lost` as the last event; `reconnect` comes before the server closes the stream to stop.",
    query: supervisorEventQuerySchema,
    answer: {
      status: 200,
      contentType: "text/event-stream",
      schema: supervisorEventSchema,
      description: "Server-sent events, each with a `SupervisorEvent` as its data.",
    },
  },
  ({ supervisor, clock, query, streams }) =>
    eventStream((signal) => supervisorFrames(supervisor, query, clock, signal), streams, { drained: RECONNECT }),
);

/** The operations on the supervisor as a whole. */
export const supervisorOperations: readonly Operation[] = [
  getServer,
  getTree,
  listChildren,
  terminateChild,
  restartChild,
  deleteChild,
  getHealth,
  getCapacity,
  getUsage,
  listBudgets,
  getStorage,
  drainSupervisor,
  streamSupervisorEvents,
];

function childrenOf({ supervisor }: { readonly supervisor: Supervisor }): ChildList {
  const show = shownNames(supervisor);
  const children = supervisor.whichChildren().map((child) => ({ ...child, id: show(child.id) }));
  return { children, counts: supervisor.countChildren() };
}

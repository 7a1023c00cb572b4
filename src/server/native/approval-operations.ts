import type { PermissionUpdate } from "@anthropic-ai/claude-agent-sdk";
import type { Cluster } from "../../cluster/cluster.ts";
import type { GlobalApproval, GlobalSession } from "../../cluster/global-session.ts";
import { withoutUndefined } from "../../fields.ts";
import type { PastApproval } from "../../session/controls.ts";
import type { Approval } from "../../session/conversation/approval.ts";
import { globalName } from "../../session/options/global-name.ts";
import type { Session } from "../../session/session.ts";
import {
  type ApprovalOutcome,
  type ApproveTool,
  approvalHistoryQuerySchema,
  approvalHistorySchema,
  approvalListQuerySchema,
  approvalListSchema,
  approveToolSchema,
  denyToolSchema,
  type SettledApproval,
  type Approval as ShownApproval,
  type PastApproval as ShownPast,
  settledApprovalSchema,
} from "../../wire/approval.ts";
import type { JsonObject } from "../../wire/json.ts";
import { approvalParams, sessionParams } from "../../wire/params.ts";
import { mayReach } from "../access/reach.ts";
import type { Caller } from "../http/caller.ts";
import { RequestError } from "../http/request-error.ts";
import { jsonOperation, type Operation } from "./operation.ts";
import { reachedSession } from "./reached-session.ts";
import { type ShowName, shownNames } from "./shown-name.ts";

type Pending = Approval | GlobalApproval;

/** How many nodes or sessions of a cluster are asked at a time. */
const AT_ONCE = 8;

/** How far back to look for the answer of an approval that is no longer pending. */
const PAST = 1_000;

const listApprovals = jsonOperation(
  {
    id: "listApprovals",
    tag: "Approvals",
    method: "get",
    path: "/approvals",
    scope: "read",
    summary: "Lists the pending permission requests of all sessions.",
    query: approvalListQuerySchema,
    answer: approvalListSchema,
  },
  async ({ supervisor, caller, query }) => {
    const waiting = supervisor.listSessions().filter(({ name, labels, waitingFor }) => {
      return waitingFor?.for === "approval" && mayReach(caller, name, labels);
    });
    const own = waiting.flatMap(({ name }) => supervisor.session(name).approvals());
    const { cluster } = supervisor;
    const others = cluster === undefined || query.global !== true ? [] : await globalApprovals(cluster, caller);
    const all: Pending[] = [...own, ...others];
    const show = shownNames(supervisor);
    const sorted = all.toSorted((one, other) => one.requestedAt - other.requestedAt);
    return { approvals: sorted.map((approval) => shownApproval(approval, show)) };
  },
);

const listSessionApprovals = jsonOperation(
  {
    id: "listSessionApprovals",
    tag: "Approvals",
    method: "get",
    path: "/sessions/{name}/approvals",
    scope: "read",
    summary: "Lists the pending permission requests of a session, the oldest first.",
    params: sessionParams,
    answer: approvalListSchema,
  },
  async (request) => {
    const show = shownNames(request.supervisor);
    const pending = await pendingOf(await reachedSession(request, request.params.name));
    return { approvals: pending.map((approval) => shownApproval(approval, show)) };
  },
);

const getApprovalHistory = jsonOperation(
  {
    id: "getApprovalHistory",
    tag: "Approvals",
    method: "get",
    path: "/sessions/{name}/approvals/history",
    scope: "read",
    summary: "Lists the latest permission requests and their answers, the newest first.",
    params: sessionParams,
    query: approvalHistoryQuerySchema,
    answer: approvalHistorySchema,
  },
  async (request) => {
    const { params, query } = request;
    const session = await reachedSession(request, params.name);
    const past = await session.approvalHistory(withoutUndefined({ limit: query.limit }));
    return { approvals: past.map(shownPast) };
  },
);

const approveTool = jsonOperation(
  {
    id: "approveTool",
    tag: "Approvals",
    method: "post",
    path: "/sessions/{name}/approvals/{approval}/approve",
    scope: "approve",
    idempotent: true,
    summary:
      "Lets the tool run, on request with another input or with rules for the future, or answers Claude's questions.",
    params: approvalParams,
    body: approveToolSchema,
    answer: settledApprovalSchema,
  },
  async (request) => {
    const { params, body, caller } = request;
    const session = await reachedSession(request, params.name);
    return await settle(session, params.approval, "approved", (approval) => approveBy(approval, body, caller));
  },
);

const denyTool = jsonOperation(
  {
    id: "denyTool",
    tag: "Approvals",
    method: "post",
    path: "/sessions/{name}/approvals/{approval}/deny",
    scope: "approve",
    idempotent: true,
    summary: "Denies the tool, and tells Claude why. Claude continues without it.",
    params: approvalParams,
    body: denyToolSchema,
    answer: settledApprovalSchema,
  },
  async (request) => {
    const { params, body, caller } = request;
    const session = await reachedSession(request, params.name);
    const by = { by: caller.id };
    return await settle(session, params.approval, "denied", (approval) => approval.deny(body.message, by));
  },
);

/** The operations on permission requests. */
export const approvalOperations: readonly Operation[] = [
  listApprovals,
  listSessionApprovals,
  getApprovalHistory,
  approveTool,
  denyTool,
];

/** Answers an approval, or returns the effect of an earlier answer. @throws RequestError `NOT_FOUND` */
async function settle(
  session: Session | GlobalSession,
  id: string,
  outcome: ApprovalOutcome,
  answer: (approval: Pending) => boolean | Promise<boolean>,
): Promise<SettledApproval> {
  const pending = (await pendingOf(session)).find((approval) => approval.id === id);
  if (pending !== undefined && (await answer(pending))) return { id, first: true, outcome };
  const past = (await session.approvalHistory({ limit: PAST })).find((approval) => approval.id === id);
  if (past?.outcome === undefined) throw new RequestError("NOT_FOUND", "There is no permission request of this id.");
  return { id, first: false, outcome: past.outcome };
}

function approveBy(
  approval: Pending,
  { input, rules, answers }: ApproveTool,
  { id: by }: Caller,
): boolean | Promise<boolean> {
  if (answers !== undefined) return approval.answer(answers, { by });
  const changes = {
    by,
    ...(input !== undefined && { input: { ...input } }),
    // The schema has checked them.
    ...(rules !== undefined && { rules: rules as readonly object[] as readonly PermissionUpdate[] }),
  };
  return approval.approve(changes);
}

async function pendingOf(session: Session | GlobalSession): Promise<readonly Pending[]> {
  return await session.approvals();
}

/** Returns the pending approvals of a cluster's sessions that a node runs. */
async function globalApprovals(cluster: Cluster, caller: Caller): Promise<readonly GlobalApproval[]> {
  const { labels: wanted, ...byName } = caller;
  const owned = (await cluster.listSessions()).filter((session) => session.node !== undefined);
  const reached = owned.filter(({ name }) => mayReach(byName, name, undefined));
  const found: GlobalApproval[] = [];
  for (let from = 0; from < reached.length; from += AT_ONCE) {
    const some = reached.slice(from, from + AT_ONCE).map(async ({ name }) => {
      const session = cluster.session(globalName(name));
      if (wanted !== undefined && !mayReach(caller, name, (await session.status()).labels)) return [];
      return await session.approvals();
    });
    found.push(...(await Promise.all(some)).flat());
  }
  return found;
}

function shownApproval(approval: Pending, show: ShowName): ShownApproval {
  const { id, session, tool, input, questions, title, reason, suggestions, toolUseId, turnId } = approval;
  const { requestedAt, expiresAt } = approval;
  const known = withoutUndefined({ questions, title, reason, toolUseId, turnId });
  return {
    id,
    session: show(session),
    tool,
    input: input as JsonObject,
    suggestions,
    requestedAt,
    expiresAt,
    ...known,
  };
}

function shownPast({ id, tool, input, requestedAt, outcome, settledAt, by, message }: PastApproval): ShownPast {
  return { id, tool, input, requestedAt, ...withoutUndefined({ outcome, settledAt, by, message }) };
}

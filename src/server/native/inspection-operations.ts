import type { SessionInspection } from "../../application/inspection/inspection.ts";
import { withoutUndefined } from "../../fields.ts";
import { isGlobal } from "../../wire/name.ts";
import { mcpServerParams, sessionParams } from "../../wire/params.ts";
import { doneSchema, toggleMcpServerSchema } from "../../wire/session.ts";
import { sessionInspectionSchema } from "../../wire/session-inspection.ts";
import { reachesAll, requireScope } from "../access/reach.ts";
import { jsonOperation, type Operation } from "./operation.ts";
import { reachedSession } from "./reached-session.ts";
import { sessionOf } from "./session-operations.ts";
import { libraryName, shownNames } from "./shown-name.ts";
import { shownInspection, shownOptions } from "./shown-tree.ts";

const inspectSession = jsonOperation(
  {
    id: "inspectSession",
    tag: "Sessions",
    method: "get",
    path: "/sessions/{name}/inspection",
    scope: "read",
    summary: "Returns the options of a session with their origins, its budget, and its last exits.",
    description:
      "Starts no process. Secrets are left out: of `env`, `mcpServers` and the like only the names are shown. Options tell of system " +
      "prompts and paths, so a caller who does not reach all sessions needs the scope `operate`, too.",
    params: sessionParams,
    answer: sessionInspectionSchema,
  },
  async (request) => {
    const { supervisor, caller, params } = request;
    if (!reachesAll(caller)) requireScope(caller, "operate");
    const show = shownNames(supervisor);
    const { name } = params;
    await sessionOf(request, name);
    if (isGlobal(name)) {
      const found = (await supervisor.session(libraryName(name)).inspect()) as Partial<SessionInspection>;
      // A session that its node is about to start has only a status.
      const { status, budget, options = {}, restarts = 0, lastExits = [] } = found;
      return status === undefined
        ? { options: shownOptions(options), lastExits }
        : shownInspection(
            { kind: "session", status, ...withoutUndefined({ budget }), options, restarts, lastExits },
            show,
          );
    }
    const found = supervisor.inspectSession(name);
    if (found !== undefined) return shownInspection(found, show);
    const options = supervisor.optionsOf(name);
    return { lastExits: [], ...(options !== undefined && { options: shownOptions(options) }) };
  },
);

const reconnectMcpServer = jsonOperation(
  {
    id: "reconnectMcpServer",
    tag: "Sessions",
    method: "post",
    path: "/sessions/{name}/mcp-servers/{server}/reconnect",
    scope: "operate",
    idempotent: true,
    summary: "Reconnects an MCP server of the session's process. Wakes a hibernated session.",
    params: mcpServerParams,
    answer: doneSchema,
  },
  async (request) => {
    const { name, server } = request.params;
    await (await reachedSession(request, name)).reconnectMcpServer(server);
    return {};
  },
);

const toggleMcpServer = jsonOperation(
  {
    id: "toggleMcpServer",
    tag: "Sessions",
    method: "post",
    path: "/sessions/{name}/mcp-servers/{server}/toggle",
    scope: "operate",
    idempotent: true,
    summary: "Enables or disables an MCP server of the session's process. Wakes a hibernated session.",
    description: "The next process begins with the servers of the options again.",
    params: mcpServerParams,
    body: toggleMcpServerSchema,
    answer: doneSchema,
  },
  async (request) => {
    const { params, body } = request;
    await (await reachedSession(request, params.name)).toggleMcpServer(params.server, body.enabled);
    return {};
  },
);

/** The operations on the options and MCP servers of a session. */
export const inspectionOperations: readonly Operation[] = [inspectSession, reconnectMcpServer, toggleMcpServer];

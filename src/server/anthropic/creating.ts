import type { SessionInfo } from "../../application/finding.ts";
import type { Supervisor } from "../../application/supervisor.ts";
import type { Clock } from "../../clock.ts";
import { withoutUndefined } from "../../fields.ts";
import { beginsWith, type SessionName } from "../../names.ts";
import type { Caller } from "../http/caller.ts";
import { RequestError } from "../http/request-error.ts";
import { type Agent, agentFor, versionOf, wireAgent } from "./agents.ts";
import { CLIENT_TOOLS } from "./client-tools.ts";
import type { CustomTool } from "./custom-tool.ts";
import { ENVIRONMENT } from "./environments.ts";
import { sessionIdOf } from "./ids.ts";
import { type Creation, readTools } from "./requests.ts";
import { type RequestIdentity, retrySince } from "./retries.ts";
import { portOf } from "./session-port.ts";
import { storedIn, withStored } from "./stored-session.ts";

/** A request that creates a session. */
export interface Creating {
  readonly supervisor: Supervisor;
  readonly clock: Clock;
  readonly newId: () => string;
  readonly caller: Caller;
  readonly identity: RequestIdentity;
}

/** How many of the newest sessions to search for that of an earlier request. */
const LOOK_BACK = 50;

/**
 * Creates a session, or returns that of an earlier, identical request.
 *
 * @throws RequestError `UNSUPPORTED`; CastellanError `INVALID_OPTIONS`, `TEMPLATE_FULL`, `JOURNAL_UNAVAILABLE`
 */
export async function createSession(creating: Creating, body: Creation): Promise<SessionInfo> {
  const { supervisor, clock, caller, identity } = creating;
  const { agent, tools } = agentOf(creating, body);
  if (body.environment_id !== ENVIRONMENT.id) {
    throw new RequestError(
      "UNSUPPORTED",
      `There is no environment of this id; this server has one, \`${ENVIRONMENT.id}\`.`,
    );
  }
  const parents = parentsOf(agent, caller);
  const earlier = await earlierOf(creating, parents);
  if (earlier !== undefined) return earlier;
  const name = [...parents, identity.key ?? creating.newId()] as const;
  const { session } = portOf(supervisor, name);
  const { metadata, budget, title } = body;
  const stored = {
    metadata,
    request: identity.digest,
    updatedAt: clock.now(),
    ...withoutUndefined({ budget, tools: tools.length === 0 ? undefined : tools }),
  };
  await session.describe({
    ...withoutUndefined({ title: title ?? undefined }),
    // A caller that is limited to labels reaches only sessions that have them.
    labels: caller.labels ?? {},
    metadata: withStored(undefined, stored),
  });
  const info = await supervisor.findSession(name);
  if (info === undefined) throw new Error(`session ${sessionIdOf(name)} was not created`);
  return info;
}

function agentOf(
  { supervisor, caller }: Creating,
  { agent: given }: Creation,
): { readonly agent: Agent; readonly tools: readonly CustomTool[] } {
  const { id, version } = typeof given === "string" ? { id: given, version: undefined } : given;
  const agent = agentFor(supervisor, caller, id);
  if (agent === undefined) throw new RequestError("UNSUPPORTED", `There is no agent \`${id.slice(0, 200)}\`.`);
  if (agent.kind === "session") {
    const message = `The agent \`${id}\` is a single session, \`${sessionIdOf(agent.name)}\`; it has no others.`;
    throw new RequestError("UNSUPPORTED", message);
  }
  const now = versionOf(agent.options);
  if (version !== undefined && version !== now) {
    throw new RequestError(
      "UNSUPPORTED",
      `The agent \`${id}\` has the version ${now}; versions of the past are not kept.`,
    );
  }
  const tools = typeof given === "object" && given.type === "agent_with_overrides" ? given.tools : undefined;
  return { agent, tools: tools === undefined ? [] : checkedTools(supervisor, agent, tools) };
}

/**
 * Returns the custom tools among the tools of an agent. The others must be the agent's own.
 *
 * @throws RequestError `UNSUPPORTED`
 */
export function checkedTools(
  supervisor: Supervisor,
  agent: Agent,
  tools: readonly { readonly type: string }[],
): readonly CustomTool[] {
  const { custom, others } = readTools(tools);
  const own = wireAgent(agent).tools.map((tool) => JSON.stringify(tool));
  if (others.some((tool) => !own.includes(JSON.stringify(tool)))) {
    throw new RequestError("UNSUPPORTED", "Only custom tools can be added to those of the agent.");
  }
  if (custom.length > 0 && !takesTools(supervisor, agent)) {
    const message = `The agent takes no custom tools: its options have no MCP server \`${CLIENT_TOOLS}\` of \`clientTools()\`.`;
    throw new RequestError("UNSUPPORTED", message);
  }
  return custom;
}

function takesTools(supervisor: Supervisor, { name, options }: Agent): boolean {
  // The options of a template whose function makes them are those of any of its sessions.
  const known = options ?? supervisor.optionsOf(typeof name === "string" ? [name, "key"] : name);
  const servers = known?.["mcpServers"]?.value;
  return Array.isArray(servers) && servers.includes(CLIENT_TOOLS);
}

/** Returns the parts of the names of the sessions that a caller creates: the template's, and those that it is limited to. */
function parentsOf({ name }: Agent, { prefix }: Caller): readonly [string, ...(string | number)[]] {
  const template = typeof name === "string" ? name : name[0];
  return prefix !== undefined && typeof prefix !== "string" && beginsWith(prefix, template) ? prefix : [template];
}

async function earlierOf(
  { supervisor, clock, identity }: Creating,
  parents: readonly [string, ...(string | number)[]],
): Promise<SessionInfo | undefined> {
  if (identity.key !== undefined) {
    const found = await supervisor.findSession([...parents, identity.key]);
    if (found === undefined || storedIn(found.metadata).request === identity.digest) return found;
    throw new RequestError("UNSUPPORTED", "The `Idempotency-Key` was used before, for a request with another body.");
  }
  if (!identity.isRetry) return undefined;
  const prefix: SessionName = parents;
  const created = { from: retrySince(clock) };
  const recent = await supervisor.findSessions({ prefix, created, order: "newest", state: "any", limit: LOOK_BACK });
  return recent.find(({ metadata }) => storedIn(metadata).request === identity.digest);
}

/* The operations of the Managed Agents API, and what this server does with them. The guide shows them; the routes are made of them. */

/** An operation of the API. */
export interface Operation {
  readonly method: "GET" | "POST" | "DELETE";
  /** In Hono's form, after `/v1`. */
  readonly path: string;
  /** The method of Anthropic's SDK, after `client.beta`. */
  readonly sdk: string;
  /** How it differs here; undefined if it does not. */
  readonly note?: string;
}

/** The operations that the server has. */
export const SUPPORTED: readonly Operation[] = [
  {
    method: "POST",
    path: "/sessions",
    sdk: "sessions.create",
    note: "a session of a template; of `agent_with_overrides` only custom `tools`; no `resources`, no `vault_ids`",
  },
  {
    method: "GET",
    path: "/sessions",
    sdk: "sessions.list",
    note: "not by deployment or memory store; no global sessions",
  },
  { method: "GET", path: "/sessions/:id", sdk: "sessions.retrieve" },
  { method: "POST", path: "/sessions/:id", sdk: "sessions.update", note: "of `agent` only custom `tools`" },
  {
    method: "DELETE",
    path: "/sessions/:id",
    sdk: "sessions.delete",
    note: "erases the record; what was spent stays, under an anonymous name",
  },
  { method: "POST", path: "/sessions/:id/archive", sdk: "sessions.archive", note: "ends what runs" },
  { method: "POST", path: "/sessions/:id/events", sdk: "sessions.events.send" },
  { method: "GET", path: "/sessions/:id/events", sdk: "sessions.events.list" },
  {
    method: "GET",
    path: "/sessions/:id/events/stream",
    sdk: "sessions.events.stream",
    note: "also takes `Last-Event-ID`",
  },
  {
    method: "GET",
    path: "/sessions/:id/threads",
    sdk: "sessions.threads.list",
    note: "the subagents of the latest 256 tool calls",
  },
  { method: "GET", path: "/sessions/:id/threads/:thread", sdk: "sessions.threads.retrieve" },
  { method: "GET", path: "/sessions/:id/threads/:thread/events", sdk: "sessions.threads.events.list" },
  { method: "GET", path: "/sessions/:id/threads/:thread/stream", sdk: "sessions.threads.events.stream" },
  {
    method: "GET",
    path: "/agents",
    sdk: "agents.list",
    note: "templates and single sessions, without their MCP servers",
  },
  { method: "GET", path: "/agents/:id", sdk: "agents.retrieve" },
  {
    method: "GET",
    path: "/agents/:id/versions",
    sdk: "agents.versions.list",
    note: "only the present one; its number is a digest of the options",
  },
  { method: "GET", path: "/environments", sdk: "environments.list", note: "one, `env_local`" },
  { method: "GET", path: "/environments/:id", sdk: "environments.retrieve" },
];

/** Operations that the application does in code instead; the server answers 403. */
export const IN_CODE: readonly Operation[] = [
  { method: "POST", path: "/agents", sdk: "agents.create" },
  { method: "POST", path: "/agents/:id", sdk: "agents.update" },
  { method: "POST", path: "/agents/:id/archive", sdk: "agents.archive" },
];

/** Whole parts of the API that the server does not have; it answers 404. */
export const UNSUPPORTED: readonly { readonly path: string; readonly sdk: string }[] = [
  { path: "/sessions/:id/resources", sdk: "sessions.resources" },
  { path: "/environments/:id/work", sdk: "environments.work" },
  { path: "/files", sdk: "files" },
  { path: "/skills", sdk: "skills" },
  { path: "/vaults", sdk: "vaults" },
  { path: "/memory_stores", sdk: "memoryStores" },
  { path: "/deployments", sdk: "deployments" },
  { path: "/deployment_runs", sdk: "deploymentRuns" },
];

import { createHash } from "node:crypto";
import type { EffectiveOptions } from "../../application/inspection/effective-options.ts";
import type { Supervisor } from "../../application/supervisor.ts";
import type { SessionName } from "../../names.ts";
import { mayReach } from "../access/reach.ts";
import type { Caller } from "../http/caller.ts";
import type { CustomTool } from "./custom-tool.ts";

/** An agent: a template, whose sessions clients create, or a single session. */
export interface Agent {
  readonly kind: "template" | "session";
  readonly name: SessionName;
  /** Undefined for a template whose function makes the options. */
  readonly options: EffectiveOptions | undefined;
}

/** The definition of an agent on the wire, as it is part of sessions and threads. */
export interface WireAgent {
  readonly type: "agent";
  readonly id: string;
  readonly name: string;
  readonly version: number;
  readonly description: null;
  readonly model: { readonly id: string };
  readonly system: string | null;
  readonly tools: readonly object[];
  readonly mcp_servers: readonly never[];
  readonly skills: readonly never[];
  readonly multiagent: null;
  readonly execution_identity: { readonly type: "service_account" };
}

/** What agents show for a model that Claude Code chooses. */
const ANY_MODEL = "default";

/** Agents are made by the application, so the time is unknown. */
const MADE_AT = new Date(0).toISOString();

/** Returns the id of an agent: its name. */
function agentIdOf(name: SessionName): string {
  return typeof name === "string" ? name : JSON.stringify(name);
}

/** Returns the agents that a caller may know, by id. */
export function agentsFor(supervisor: Supervisor, caller: Caller): Agent[] {
  const templates = supervisor.templates();
  const names = new Set(templates.map(({ name }) => name));
  const made = templates
    .filter(({ name }) => reachesTemplate(caller, name))
    .map(({ name, options }): Agent => ({ kind: "template", name, options }));
  const single = supervisor
    .listSessions()
    .filter(({ name, labels }) => !names.has(firstOf(name)) && mayReach(caller, name, labels))
    .map(({ name }): Agent => ({ kind: "session", name, options: supervisor.optionsOf(name) }));
  return [...made, ...single].toSorted((one, other) => (agentIdOf(one.name) < agentIdOf(other.name) ? -1 : 1));
}

/** Returns the agent with this id, or undefined if there is none that the caller may know. */
export function agentFor(supervisor: Supervisor, caller: Caller, id: string): Agent | undefined {
  const template = supervisor.templates().find(({ name }) => name === id);
  if (template !== undefined) {
    return reachesTemplate(caller, template.name)
      ? { kind: "template", ...template, options: template.options }
      : undefined;
  }
  return agentsFor(supervisor, caller).find(({ name }) => agentIdOf(name) === id);
}

/** Whether the caller may reach some session of a template. */
function reachesTemplate({ prefix }: Caller, template: string): boolean {
  return prefix === undefined || firstOf(prefix) === template;
}

/** Returns the agent of a session: its template, or itself. */
export function agentOfSession(supervisor: Supervisor, name: SessionName): Agent {
  const isTemplate = supervisor.templates().some((template) => typeof name !== "string" && template.name === name[0]);
  const options = knownOptions(supervisor, name);
  return isTemplate ? { kind: "template", name: firstOf(name), options } : { kind: "session", name, options };
}

/** A template's function may refuse the name of a session of the past. */
function knownOptions(supervisor: Supervisor, name: SessionName): EffectiveOptions | undefined {
  try {
    return supervisor.optionsOf(name);
  } catch {
    return undefined;
  }
}

function firstOf(name: SessionName): string {
  return typeof name === "string" ? name : name[0];
}

/** Returns the definition of an agent. @param tools the tools that the client answers */
export function wireAgent({ name, options }: Agent, tools: readonly CustomTool[] = []): WireAgent {
  return {
    type: "agent",
    id: agentIdOf(name),
    name: agentIdOf(name),
    version: versionOf(options),
    description: null,
    model: { id: textOf(options?.["model"]?.value) ?? ANY_MODEL },
    system: systemOf(options?.["systemPrompt"]?.value),
    tools: [...toolsetsOf(options), ...tools],
    mcp_servers: [],
    skills: [],
    multiagent: null,
    execution_identity: { type: "service_account" },
  };
}

/** Returns an agent as a resource. */
export function agentResource(agent: Agent, tools?: readonly CustomTool[]): object {
  return { ...wireAgent(agent, tools), archived_at: null, created_at: MADE_AT, updated_at: MADE_AT, metadata: {} };
}

/**
 * Returns the version of an agent, a digest of its options. Changed options have another version, and a restart of the
 * application does not change it.
 */
export function versionOf(options: EffectiveOptions | undefined): number {
  if (options === undefined) return 1;
  const values = Object.entries(options)
    .map(([option, { value }]) => [option, value])
    .toSorted(([one], [other]) => (String(one) < String(other) ? -1 : 1));
  const digest = createHash("sha256").update(JSON.stringify(values)).digest();
  return 1 + (digest.readUInt32BE(0) >>> 1);
}

function toolsetsOf(options: EffectiveOptions | undefined): object[] {
  const tools = options?.["tools"]?.value;
  if (Array.isArray(tools) && tools.length === 0) return [];
  const permission_policy = { type: policyOf(options) };
  return [{ type: "agent_toolset_20260401", configs: [], default_config: { enabled: true, permission_policy } }];
}

function policyOf(options: EffectiveOptions | undefined): "always_allow" | "always_ask" | "auto" {
  if (options?.["permissionMode"]?.value === "bypassPermissions") return "always_allow";
  const approvals = options?.["approvals"]?.value;
  return approvals === undefined || approvals === false ? "auto" : "always_ask";
}

function systemOf(prompt: unknown): string | null {
  if (typeof prompt === "object" && prompt !== null && "append" in prompt) return textOf(prompt.append) ?? null;
  return textOf(prompt) ?? null;
}

function textOf(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}

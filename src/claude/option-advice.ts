import { readdir, stat } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import type { McpServerStatus, ModelInfo, Options as SdkOptions } from "@anthropic-ai/claude-agent-sdk";
import { type AgentSdk, agentSdk } from "../agent-sdk.ts";
import { didYouMean, nearMisses } from "../names.ts";

/*
 * Advice about values that Claude Code accepts silently and ignores. Its list of tools is incomplete, so nothing is
 * refused because of it.
 */

/** The options that name tools. */
const TOOL_OPTIONS = ["allowedTools", "disallowedTools", "tools"] as const;

/** Returns all advice about options once a process is up. @param models those that Claude Code lists */
export async function adviceOn(options: SdkOptions, models: readonly ModelInfo[]): Promise<string[]> {
  const known = builtInTools(await agentSdk());
  return [...toolAdvice(options, known), ...modelAdvice(options.model, models), ...(await directoryAdvice(options))];
}

/** Returns advice about tools that do not exist, which Claude Code ignores. */
export function toolAdvice(options: SdkOptions, builtIn: readonly string[]): string[] {
  const servers = serversOf(options);
  return namedTools(options).flatMap(({ option, rule, name }) => {
    const problem = isOfServer(name) ? serverProblem(name, servers) : builtInProblem(name, builtIn);
    return problem === undefined ? [] : [`\`${option}\`: ${JSON.stringify(rule)} has no effect: ${problem}`];
  });
}

/** Returns advice about tools that their connected MCP server does not have. */
export function serverToolAdvice(options: SdkOptions, servers: readonly McpServerStatus[]): string[] {
  const told = servers.filter(({ status, tools }) => status === "connected" && tools !== undefined);
  return namedTools(options).flatMap(({ option, rule, name }) => {
    const server = told.find((one) => name.startsWith(prefixOf(one.name)));
    if (server === undefined) return [];
    const known = (server.tools ?? []).map((tool) => prefixOf(server.name) + written(tool.name));
    if (known.includes(name)) return [];
    const near = didYouMean(nearMisses(name, known));
    const message = `the MCP server ${JSON.stringify(server.name)} has no such tool${near}`;
    return [`\`${option}\`: ${JSON.stringify(rule)} has no effect: ${message}`];
  });
}

/** Returns advice about a model that Claude Code does not know: it lists the model as given, without a name. */
export function modelAdvice(model: string | undefined, models: readonly ModelInfo[]): string[] {
  const unknown = models.some(({ value, displayName }) => value === model && displayName === model);
  if (model === undefined || !unknown) return [];
  const known = models.flatMap(({ value, resolvedModel }) => [
    value,
    ...(resolvedModel === undefined ? [] : [resolvedModel]),
  ]);
  const near = didYouMean(nearMisses(model, new Set(known.filter((name) => name !== model))));
  return [
    `\`model\`: Claude Code does not know ${JSON.stringify(model)}; turns fail if the API does not know it either${near}`,
  ];
}

/** Returns advice about directories that do not exist, which Claude Code ignores. */
async function directoryAdvice({
  cwd = process.cwd(),
  additionalDirectories = [],
  ...rest
}: SdkOptions): Promise<string[]> {
  // A process that the application spawns may run on another machine, with other files.
  if (rest.spawnClaudeCodeProcess !== undefined) return [];
  const advice = additionalDirectories.map(async (given) => {
    const path = resolve(cwd, given);
    const found = await stat(path).catch(() => undefined);
    if (found?.isDirectory() === true) return [];
    const what = found === undefined ? "does not exist" : "is not a directory";
    const near = found === undefined ? didYouMean(await siblingsLike(path)) : "";
    return [`\`additionalDirectories\`: ${path} ${what}; Claude does not get it${near}`];
  });
  return (await Promise.all(advice)).flat();
}

async function siblingsLike(path: string): Promise<string[]> {
  const folder = dirname(path);
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
  const folders = entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
  return nearMisses(basename(path), folders).map((name) => join(folder, name));
}

interface NamedTool {
  readonly option: (typeof TOOL_OPTIONS)[number];
  /** The rule as given: `Bash(git *)`. */
  readonly rule: string;
  readonly name: string;
}

/** Returns the tools that options name in full; a name with `*` may match any. */
function namedTools(options: SdkOptions): NamedTool[] {
  return TOOL_OPTIONS.flatMap((option) => {
    const rules = options[option];
    if (!Array.isArray(rules)) return [];
    return rules
      .map((rule) => ({ option, rule, name: rule.replace(/\(.*$/s, "").trim() }))
      .filter(({ name }) => name !== "" && name !== "default" && !name.includes("*"));
  });
}

/** Returns the names of Claude Code's own tools that the SDK knows. */
export function builtInTools({ BUILTIN_TOOL_NAMES, LEGACY_TOOL_NAME_ALIASES }: AgentSdk): string[] {
  return [...BUILTIN_TOOL_NAMES, ...Object.keys(LEGACY_TOOL_NAME_ALIASES)];
}

function builtInProblem(name: string, known: readonly string[]): string | undefined {
  if (known.includes(name)) return undefined;
  return `Claude Code has no such tool${didYouMean(nearMisses(name, known))}`;
}

function isOfServer(name: string): boolean {
  return name.startsWith("mcp__");
}

function serverProblem(name: string, servers: readonly string[] | undefined): string | undefined {
  if (servers === undefined) return undefined;
  const prefixes = servers.map(prefixOf);
  const isKnown = prefixes.some((prefix) => name.startsWith(prefix) || `${name}__` === prefix);
  if (isKnown) return undefined;
  const [, given = ""] = name.split("__");
  const near = didYouMean(nearMisses(given, servers.map(written)).map((server) => name.replace(given, server)));
  return `there is no such MCP server${near}`;
}

/** Returns the names of all possible servers; `undefined` if files may add others. */
function serversOf({
  mcpServers = {},
  settingSources = [],
  plugins = [],
  agents = {},
}: SdkOptions): string[] | undefined {
  const ofAgents = Object.values(agents).some((agent) => agent.mcpServers !== undefined);
  return settingSources.length > 0 || plugins.length > 0 || ofAgents ? undefined : Object.keys(mcpServers);
}

function prefixOf(server: string): string {
  return `mcp__${written(server)}__`;
}

/** Returns a server's name as it appears in its tools' names. */
function written(name: string): string {
  return name.replaceAll(/[^\w-]/g, "_");
}

import type { Options as SdkOptions } from "@anthropic-ai/claude-agent-sdk";
import { z } from "zod";

/**
 * Options of the Agent SDK that a session refuses, with the reason. A session outlives its processes, so options that
 * tie it to one process or prevent resuming are refused.
 */
export const REFUSED_SDK_OPTIONS = {
  continue: "a session finds its conversation by its name; to continue an existing one, give its id as `resume`",
  persistSession: "a session restarts with its conversation, which needs the transcript on disk",
  resumeDropsTurn: "Castellan decides what a restart resumes",
  maxBudgetUsd:
    "Claude Code counts it over all turns of a process, and answers none any more once it is reached; `budget` limits what a session spends, `maxTurns` how far one turn may go",
} as const;

const callback: z.ZodType = z.custom((value) => typeof value === "function", "expected a function");
const text = z.string().min(1);
const texts = z.array(z.string());
const flag = z.boolean();
const record = z.record(z.string(), z.unknown());
const count = z.int().positive();
const uuid = z.guid("expected a UUID");
const servers = z.record(z.string(), z.looseObject({}));

export const PERMISSION_MODES = ["default", "acceptEdits", "bypassPermissions", "plan", "dontAsk", "auto"] as const;

/**
 * The outer shape of each option of the Agent SDK, so that a wrong value is reported before a process starts; the SDK
 * and Claude Code check the rest. The type forces a new line for every option that a release of the SDK adds.
 */
export const sdkOptionsShape: Record<Exclude<keyof SdkOptions, keyof typeof REFUSED_SDK_OPTIONS>, z.ZodType> = {
  abortController: z.instanceof(AbortController),
  additionalDirectories: texts,
  agent: text,
  agentProgressSummaries: flag,
  agents: z.record(z.string(), z.looseObject({ description: z.string(), prompt: z.string() })),
  allowDangerouslySkipPermissions: flag,
  allowedTools: texts,
  betas: texts,
  canUseTool: callback,
  cwd: text,
  debug: flag,
  debugFile: text,
  disallowedTools: texts,
  effort: z.enum(["low", "medium", "high", "xhigh", "max"]),
  enableFileCheckpointing: flag,
  // Not a record, which `process.env` itself would not match.
  env: z.object({}).catchall(z.string().optional()),
  executable: z.enum(["bun", "deno", "node"]),
  executableArgs: texts,
  extraArgs: z.record(z.string(), z.string().nullable()),
  fallbackModel: text,
  forkSession: flag,
  forwardSubagentText: flag,
  hooks: z.record(z.string(), z.array(z.looseObject({ hooks: z.array(callback) }))),
  includeHookEvents: flag,
  includePartialMessages: flag,
  loadTimeoutMs: count,
  managedSettings: record,
  maxThinkingTokens: z.int().nonnegative(),
  maxTurns: count,
  mcpServers: servers,
  mcpServersDelivery: z.enum(["argv", "initialize"]),
  model: text,
  onElicitation: callback,
  onUserDialog: callback,
  outputFormat: z.looseObject({ type: z.literal("json_schema"), schema: record }),
  pathToClaudeCodeExecutable: text,
  perTaskStopAffordance: flag,
  permissionMode: z.enum(PERMISSION_MODES),
  permissionPromptToolName: text,
  permissionPrompts: z.enum(["host", "none"]),
  planModeInstructions: text,
  pluginDelivery: z.enum(["argv", "initialize"]),
  plugins: z.array(z.looseObject({ type: z.literal("local"), path: text })),
  projectConfigRoot: text,
  promptSuggestions: flag,
  resume: uuid,
  resumeSessionAt: uuid,
  sandbox: record,
  sessionId: uuid,
  sessionStore: z.looseObject({ append: callback, load: callback }),
  sessionStoreFlush: z.enum(["batched", "eager"]),
  settings: z.union([text, record]),
  settingSources: z.array(z.enum(["user", "project", "local"])),
  skills: z.union([texts, z.literal("all")]),
  spawnClaudeCodeProcess: callback,
  stderr: callback,
  strictMcpConfig: flag,
  supportedDialogKinds: texts,
  systemPrompt: z.union([z.string(), texts, z.looseObject({ type: z.enum(["preset", "custom"]) })]),
  taskBudget: z.looseObject({ total: count }),
  thinking: z.looseObject({ type: z.enum(["adaptive", "enabled", "disabled"]) }),
  title: text,
  toolAliases: z.record(z.string(), z.string()),
  toolConfig: record,
  tools: z.union([texts, z.looseObject({ type: z.literal("preset"), preset: z.literal("claude_code") })]),
  verbatimPrompts: flag,
};

/** Command line flags that Castellan or the SDK sets; `extraArgs` must not contradict them. */
const MANAGED_FLAGS = [
  "continue",
  "fork-session",
  "input-format",
  "output-format",
  "print",
  "resume",
  "resume-session-at",
  "session-id",
] as const;

/** Returns the contradictions in `options`: the field to change, and why. */
export function contradictions(options: SdkOptions): { field: string; message: string }[] {
  const found: { field: string; message: string }[] = [];
  const add = (field: keyof SdkOptions | `extraArgs.${string}` | `settings.${string}`, message: string): void => {
    found.push({ field, message });
  };
  if (options.permissionMode === "bypassPermissions" && options.allowDangerouslySkipPermissions !== true) {
    add("permissionMode", '"bypassPermissions" needs `allowDangerouslySkipPermissions: true`');
  }
  if (options.permissionPrompts === "none" && options.canUseTool !== undefined) {
    add("permissionPrompts", '"none" means that nobody answers, yet `canUseTool` is given; leave one of them out');
  }
  if (options.canUseTool !== undefined && options.permissionPromptToolName !== undefined) {
    add("permissionPromptToolName", "cannot be combined with `canUseTool`; choose who answers");
  }
  if ((options.supportedDialogKinds?.length ?? 0) > 0 && options.onUserDialog === undefined) {
    add("supportedDialogKinds", "requires `onUserDialog`, which answers those dialogs");
  }
  if (options.resume === undefined) {
    if (options.forkSession === true) add("forkSession", "requires `resume`: the conversation to fork from");
    if (options.resumeSessionAt !== undefined)
      add("resumeSessionAt", "requires `resume`: the conversation to cut back");
  } else if (options.sessionId !== undefined && options.forkSession !== true) {
    add("sessionId", "cannot be combined with `resume`, unless `forkSession` gives the fork that id");
  }
  for (const name of MANAGED_FLAGS) {
    if (options.extraArgs?.[name] !== undefined) add(`extraArgs.${name}`, "is set by Castellan");
  }
  if (typeof options.settings === "object" && options.settings.cleanupPeriodDays !== undefined) {
    const message =
      "is set by Castellan, because Claude Code would delete the conversations of hibernated sessions; `eraseSession` removes one";
    add("settings.cleanupPeriodDays", message);
  }
  if (options.extraArgs?.["max-budget-usd"] !== undefined) {
    add("extraArgs.max-budget-usd", REFUSED_SDK_OPTIONS.maxBudgetUsd);
  }
  return found;
}

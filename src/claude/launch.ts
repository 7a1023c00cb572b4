import type { Options as SdkOptions, Settings, SpawnedProcess, SpawnOptions } from "@anthropic-ai/claude-agent-sdk";
import { withoutUndefined } from "../fields.ts";
import { type ConversationStart, conversationOptions } from "./conversation-start.ts";
import { buildEnvironment } from "./environment.ts";
import { keepingConversations } from "./kept-conversations.ts";
import { MARKER } from "./marker.ts";
import { type OwnDirectory, settingsWithin } from "./own-directory.ts";
import type { ApiKey, ProcessSettings } from "./process-options.ts";
import { type StandingPermissions, startingMode } from "./standing-permissions.ts";

/** Everything that shapes a Claude Code process. */
export interface Launch extends Partial<ProcessSettings> {
  /** The session's own SDK options, validated. */
  readonly options: SdkOptions;
  /** Whether the session's approvals decide on tools. */
  readonly approvals?: boolean;
  /** The session's own working directory, to which its file tools are confined. */
  readonly ownDirectory?: OwnDirectory | undefined;
  readonly conversation: ConversationStart;
  /** Rules and directories that it receives besides its options. */
  readonly standing?: StandingPermissions | undefined;
}

/** What belongs to a single start. */
export interface Start {
  /** Identifies all descendants of the process. */
  readonly marker: string;
  readonly spawn: (options: SpawnOptions) => SpawnedProcess;
}

/**
 * Returns the SDK's options for `launch`: the session's own over Castellan's defaults, then those a session may not
 * choose.
 *
 * The defaults differ from the SDK's in seven ways. The host's settings are not read (`settingSources: []`). Nothing
 * waits for a permission prompt that nobody sees (`permissionPrompts: "none"`, unless the options define who answers).
 * Text arrives as it is written (`includePartialMessages`). MCP servers' keys stay off the command line. Auto-memory is
 * off. Sessions do not message each other. Conversations are not deleted for their age.
 */
export function sdkOptions(
  launch: Launch,
  { marker, spawn }: Start,
  host: Readonly<Record<string, string | undefined>> = process.env,
): SdkOptions {
  const {
    abortController: _,
    resume: _1,
    sessionId: _2,
    forkSession: _3,
    resumeSessionAt: _4,
    ...own
  } = launch.options;
  const { stderr: _5, env, ...rest } = own;
  const { autoMemory = false, ownDirectory } = launch;
  const kept = keepingConversations(rest);
  const settings = ownDirectory === undefined ? kept : settingsWithin(ownDirectory, inlineOf(kept), autoMemory);
  const permissionMode = startingMode(own, launch.standing ?? {});
  const answered = own.canUseTool !== undefined || own.permissionPromptToolName !== undefined;
  return {
    settingSources: [],
    includePartialMessages: true,
    mcpServersDelivery: "initialize",
    ...(answered ? {} : { permissionPrompts: "none" }),
    ...rest,
    ...withoutUndefined({ settings, permissionMode }),
    ...conversationOptions(launch.conversation),
    env: {
      ...buildEnvironment({
        host,
        inheritEnv: launch.inheritEnv,
        implied: impliedEnvironment(launch),
        env,
        apiKey: resolveApiKey(launch.apiKey, host),
      }),
      // Reports in a result why Claude Code does not start, instead of only printing it.
      CLAUDE_CODE_STARTUP_FAILURE_RESULTS: "1",
      // Reports when the process works and when it is idle, also without a prompt.
      CLAUDE_CODE_EMIT_SESSION_STATE_EVENTS: "1",
      [MARKER]: marker,
    },
    spawnClaudeCodeProcess: spawn,
  };
}

/** Returns the error text for an API key whose variable is unset. */
export function missingKey(
  apiKey: ApiKey | undefined,
  host: Readonly<Record<string, string | undefined>> = process.env,
): string | undefined {
  if (typeof apiKey !== "object" || resolveApiKey(apiKey, host) !== undefined) return undefined;
  return `no API key: the environment variable ${apiKey.env}, named by \`apiKey\`, is not set`;
}

/** Returns the variables implied by options. */
function impliedEnvironment({ options, autoMemory = false, ownDirectory }: Launch): Record<string, string | undefined> {
  const { crossSessionInbound: inbound } = inlineOf(options.settings);
  const messaging = inbound === "accept" || inbound === "hold";
  return {
    CLAUDE_CODE_DISABLE_AUTO_MEMORY: autoMemory ? undefined : "1",
    // The only switch that keeps messages to Claude's own agents: otherwise Claude Code lists the sessions of all
    // processes of this user, and a message to one of them begins a turn there. Known since 2.1.224 and undocumented.
    ...(messaging ? {} : { CLAUDE_CODE_HARBOR_KITE: "0" }),
    // The directory may be inside the application's repository: keep Claude and git from finding that.
    ...(ownDirectory === undefined
      ? {}
      : { CLAUDE_CODE_DISABLE_GIT_INSTRUCTIONS: "1", GIT_CEILING_DIRECTORIES: ownDirectory.root }),
  };
}

/** Returns settings that are given as an object; the contents of a settings file are unknown here. */
function inlineOf(settings: SdkOptions["settings"]): Settings {
  return typeof settings === "object" ? settings : {};
}

/** Returns the key itself; `undefined` if none was given or its variable is empty. */
export function resolveApiKey(
  apiKey: ApiKey | undefined,
  host: Readonly<Record<string, string | undefined>>,
): string | undefined {
  return typeof apiKey === "object" ? host[apiKey.env] || undefined : apiKey;
}

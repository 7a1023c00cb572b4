import type { Options as SdkOptions, Settings, SpawnedProcess, SpawnOptions } from "@anthropic-ai/claude-agent-sdk";
import { withoutUndefined } from "../fields.ts";
import { type ConversationStart, conversationOptions } from "./conversation-start.ts";
import { buildEnvironment } from "./environment.ts";
import { keepingConversations } from "./kept-conversations.ts";
import { MARKER } from "./marker.ts";
import { type OwnDirectory, settingsWithin } from "./own-directory.ts";
import type { ApiKey, ProcessSettings } from "./process-options.ts";
import { type StandingPermissions, startingMode } from "./standing-permissions.ts";

/** All that shapes a Claude Code process. */
export interface Launch extends Partial<ProcessSettings> {
  /** The session's own SDK options, validated. */
  readonly options: SdkOptions;
  /** Whether the session decides on tools. */
  readonly approvals?: boolean;
  /** The working directory, if it is the session's own: its file tools are kept in there. */
  readonly ownDirectory?: OwnDirectory | undefined;
  readonly conversation: ConversationStart;
  /** What it is to be given besides its options. */
  readonly standing?: StandingPermissions | undefined;
}

/** What is of one start only. */
export interface Start {
  /** By which all that descends from the process is known. */
  readonly marker: string;
  readonly spawn: (options: SpawnOptions) => SpawnedProcess;
}

/**
 * The options that the SDK gets for `launch`: the session's own over Castellan's defaults, then what a session may not
 * choose for itself.
 *
 * The defaults differ from the SDK's in seven points. No settings of the host leak in (`settingSources: []`); nobody waits
 * for a permission prompt that no one sees (`permissionPrompts: "none"`, unless the options say who answers); text
 * arrives as it is written (`includePartialMessages`); the keys of MCP servers stay off the command line; Claude remembers nothing
 * by itself; sessions do not message each other; and conversations are not deleted for their age.
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
      // Makes Claude Code say in a result why it does not start, where it would otherwise only print it.
      CLAUDE_CODE_STARTUP_FAILURE_RESULTS: "1",
      // Makes it say when it works and when it rests, also where nobody has asked it anything.
      CLAUDE_CODE_EMIT_SESSION_STATE_EVENTS: "1",
      [MARKER]: marker,
    },
    spawnClaudeCodeProcess: spawn,
  };
}

/** What is wrong if the variable that is to have the key is not set. */
export function missingKey(
  apiKey: ApiKey | undefined,
  host: Readonly<Record<string, string | undefined>> = process.env,
): string | undefined {
  if (typeof apiKey !== "object" || resolveApiKey(apiKey, host) !== undefined) return undefined;
  return `no API key: the environment variable ${apiKey.env}, named by \`apiKey\`, is not set`;
}

/** Variables that follow from options. */
function impliedEnvironment({ options, autoMemory = false, ownDirectory }: Launch): Record<string, string | undefined> {
  const { crossSessionInbound: inbound } = inlineOf(options.settings);
  const messaging = inbound === "accept" || inbound === "hold";
  return {
    CLAUDE_CODE_DISABLE_AUTO_MEMORY: autoMemory ? undefined : "1",
    // Has no other switch that leaves Claude the messages to its own agents: it lists the sessions of all processes of this user, and
    // a message to one of them begins a turn there. Claude Code knows it since 2.1.224, and does not document it.
    ...(messaging ? {} : { CLAUDE_CODE_HARBOR_KITE: "0" }),
    // The repository that the directory may be in is the application's: Claude is not told of it, and git does not find it.
    ...(ownDirectory === undefined
      ? {}
      : { CLAUDE_CODE_DISABLE_GIT_INSTRUCTIONS: "1", GIT_CEILING_DIRECTORIES: ownDirectory.root }),
  };
}

/** Settings that are given as an object; those of a file are not known here. */
function inlineOf(settings: SdkOptions["settings"]): Settings {
  return typeof settings === "object" ? settings : {};
}

/** The key itself; `undefined` if none was given or the variable is empty. */
export function resolveApiKey(
  apiKey: ApiKey | undefined,
  host: Readonly<Record<string, string | undefined>>,
): string | undefined {
  return typeof apiKey === "object" ? host[apiKey.env] || undefined : apiKey;
}

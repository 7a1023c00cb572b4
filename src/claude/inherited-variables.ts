/** Variable names; a trailing `*` matches any ending. */
export type Patterns = readonly string[];

/** What any program needs from its host. */
const HOST: Patterns = [
  // Paths and identity
  "PATH",
  "HOME",
  "USER",
  "LOGNAME",
  "SHELL",
  "TMPDIR",
  "TMP",
  "TEMP",
  "XDG_*",
  // Required to start a process on Windows
  "SYSTEMROOT",
  "SYSTEMDRIVE",
  "WINDIR",
  "COMSPEC",
  "PATHEXT",
  "USERPROFILE",
  "HOMEDRIVE",
  "HOMEPATH",
  "APPDATA",
  "LOCALAPPDATA",
  "PROGRAMDATA",
  "PROGRAMFILES",
  "PROGRAMFILES(X86)",
  // Locale and terminal
  "LANG",
  "LANGUAGE",
  "LC_*",
  "TZ",
  "TERM",
  // Proxies and certificates
  "HTTP_PROXY",
  "HTTPS_PROXY",
  "NO_PROXY",
  "ALL_PROXY",
  "NODE_EXTRA_CA_CERTS",
  "SSL_CERT_FILE",
  "SSL_CERT_DIR",
];

/**
 * How Claude Code authenticates with Anthropic's API or a gateway. Each would be used in addition to, or instead of, a
 * key.
 */
const ANTHROPIC_CREDENTIALS: Patterns = [
  "ANTHROPIC_AUTH_TOKEN",
  "CLAUDE_CODE_OAUTH_TOKEN",
  "CLAUDE_CODE_OAUTH_REFRESH_TOKEN",
  "CLAUDE_CODE_OAUTH_SCOPES",
  "ANTHROPIC_PROFILE",
  "ANTHROPIC_CONFIG_DIR",
  "ANTHROPIC_FEDERATION_RULE_ID",
  "ANTHROPIC_ORGANIZATION_ID",
  "ANTHROPIC_SERVICE_ACCOUNT_ID",
  "ANTHROPIC_WORKSPACE_ID",
  "ANTHROPIC_IDENTITY_TOKEN",
  "ANTHROPIC_IDENTITY_TOKEN_FILE",
  "ANTHROPIC_SCOPE",
  // Request headers, which often identify the caller
  "ANTHROPIC_CUSTOM_HEADERS",
  "CLAUDE_CODE_EXTRA_BODY",
  "CLAUDE_CODE_EXTRA_METADATA",
];

/** The cloud provider of the model, and how Claude Code authenticates with it. */
const PROVIDERS: Patterns = [
  "CLAUDE_CODE_USE_BEDROCK",
  "CLAUDE_CODE_USE_MANTLE",
  "CLAUDE_CODE_USE_VERTEX",
  "CLAUDE_CODE_USE_FOUNDRY",
  "CLAUDE_CODE_USE_ANTHROPIC_AWS",
  "CLAUDE_CODE_USE_ANTHROPIC_GOOGLE_CLOUD",
  "CLAUDE_CODE_USE_GATEWAY",
  "CLAUDE_CODE_SKIP_BEDROCK_AUTH",
  "CLAUDE_CODE_SKIP_MANTLE_AUTH",
  "CLAUDE_CODE_SKIP_VERTEX_AUTH",
  "CLAUDE_CODE_SKIP_FOUNDRY_AUTH",
  "CLAUDE_CODE_SKIP_ANTHROPIC_AWS_AUTH",
  "CLAUDE_CODE_SKIP_ANTHROPIC_GOOGLE_CLOUD_AUTH",
  "ANTHROPIC_BEDROCK_*",
  "ANTHROPIC_VERTEX_*",
  "ANTHROPIC_FOUNDRY_*",
  "ANTHROPIC_AWS_*",
  "ANTHROPIC_GOOGLE_CLOUD_*",
];

/** What Claude Code needs besides. */
const CLAUDE_CODE: Patterns = [
  "ANTHROPIC_API_KEY",
  "CLAUDE_CODE_API_KEY_HELPER_TTL_MS",
  "CLAUDE_CODE_SKIP_AWS_CRED_CACHE",
  "CLAUDE_CODE_AWS_CHAIN_RESOLVE_TIMEOUT_MS",
  // The locations of its files
  "CLAUDE_CONFIG_DIR",
  "CLAUDE_SECURESTORAGE_CONFIG_DIR",
  "CLAUDE_CODE_TMPDIR",
  // The connection to the API
  "ANTHROPIC_BASE_URL",
  "ANTHROPIC_BETAS",
  "CLAUDE_CODE_HTTP_PROXY",
  "CLAUDE_CODE_HTTPS_PROXY",
  "CLAUDE_CODE_PROXY_RESOLVES_HOSTS",
  "CLAUDE_CODE_CERT_STORE",
  "CLAUDE_CODE_CLIENT_CERT",
  "CLAUDE_CODE_CLIENT_KEY",
  "CLAUDE_CODE_CLIENT_KEY_PASSPHRASE",
  "CLAUDE_CODE_ATTRIBUTION_HEADER",
  "CLAUDE_CODE_ENABLE_FINE_GRAINED_TOOL_STREAMING",
  // The model
  "ANTHROPIC_MODEL",
  "ANTHROPIC_DEFAULT_*",
  "ANTHROPIC_SMALL_FAST_MODEL",
  "ANTHROPIC_SMALL_FAST_MODEL_AWS_REGION",
  "ANTHROPIC_CUSTOM_MODEL_OPTION*",
  "CLAUDE_CODE_SUBAGENT_MODEL",
  "CLAUDE_CODE_EFFORT_LEVEL",
  "CLAUDE_CODE_ALWAYS_ENABLE_EFFORT",
  // Limits
  "API_TIMEOUT_MS",
  "CLAUDE_CODE_MAX_*",
  "CLAUDE_CODE_AUTO_COMPACT_WINDOW",
  "CLAUDE_AUTOCOMPACT_PCT_OVERRIDE",
  "CLAUDE_CODE_FILE_READ_MAX_OUTPUT_TOKENS",
  "CLAUDE_CODE_GLOB_TIMEOUT_SECONDS",
  "CLAUDE_CODE_MCP_TOOL_IDLE_TIMEOUT",
  "CLAUDE_CODE_TOOL_MEMORY_LIMIT",
  "CLAUDE_STREAM_IDLE_TIMEOUT_MS",
  "CLAUDE_BYTE_STREAM_IDLE_TIMEOUT_MS",
  "CLAUDE_ENABLE_STREAM_WATCHDOG",
  "CLAUDE_ENABLE_BYTE_WATCHDOG*",
  "CLAUDE_ASYNC_AGENT_STALL_TIMEOUT_MS",
  // The shell for its commands
  "CLAUDE_CODE_SHELL",
  "CLAUDE_CODE_SHELL_PREFIX",
  "CLAUDE_CODE_GIT_BASH_PATH",
  "CLAUDE_CODE_USE_POWERSHELL_TOOL",
  "CLAUDE_BASH_MAINTAIN_PROJECT_WORKING_DIR",
  // What the machine's administrator has disabled, or withheld from commands
  "CLAUDE_CODE_DISABLE_*",
  "CLAUDE_CODE_SUBPROCESS_ENV_SCRUB",
  "CLAUDE_CODE_MCP_ALLOWLIST_ENV",
  "DISABLE_AUTOUPDATER",
  "DISABLE_UPDATES",
  "DISABLE_TELEMETRY",
  "DISABLE_ERROR_REPORTING",
  "DISABLE_GROWTHBOOK",
  "DO_NOT_TRACK",
  // Its telemetry, and how it identifies the application
  "CLAUDE_CODE_ENABLE_TELEMETRY",
  "CLAUDE_CODE_ENHANCED_TELEMETRY_BETA",
  "CLAUDE_CODE_OTEL_*",
  "CLAUDE_CODE_PROPAGATE_TRACEPARENT",
  "CLAUDE_AGENT_SDK_CLIENT_APP",
  // The SDK's own switches
  "CLAUDE_AGENT_SDK_DISABLE_BUILTIN_AGENTS",
  "CLAUDE_AGENT_SDK_MCP_NO_PREFIX",
];

/**
 * What a process inherits from its host's environment by default. A list rather than a prefix, because the application
 * may itself run inside Claude Code, which sets `CLAUDE_*` variables to tell its own commands who they are, where their
 * editor listens, and when to end.
 */
export const INHERITED: Patterns = [...HOST, ...ANTHROPIC_CREDENTIALS, ...PROVIDERS, ...CLAUDE_CODE];

/** Ways to authenticate other than the session's own key. */
export const OTHER_CREDENTIALS: Patterns = [
  ...ANTHROPIC_CREDENTIALS,
  ...PROVIDERS,
  "AWS_ACCESS_KEY_ID",
  "AWS_SECRET_ACCESS_KEY",
  "AWS_SESSION_TOKEN",
  "AWS_BEARER_TOKEN_BEDROCK",
  "AWS_PROFILE",
  "AWS_CONFIG_FILE",
  "AWS_SHARED_CREDENTIALS_FILE",
  "AWS_WEB_IDENTITY_TOKEN_FILE",
  "AWS_ROLE_ARN",
  "AWS_CONTAINER_*",
  "GOOGLE_APPLICATION_CREDENTIALS",
  "GOOGLE_GHA_CREDS_PATH",
  "CLOUDSDK_CONFIG",
  "CLOUDSDK_AUTH_*",
  "AZURE_*",
];

/** Variables that would turn a process into something other than a session, with the reason. No process gets them. */
export const REFUSED_VARIABLES: Readonly<Record<string, string>> = {
  CLAUDE_CODE_SKIP_PROMPT_HISTORY: "a session restarts with its conversation, which needs the transcript on disk",
  CLAUDE_CODE_EXIT_AFTER_STOP_DELAY: "it ends the process after a turn; `idleTimeout` does that without a crash",
  CLAUDE_CODE_RESUME_INTERRUPTED_TURN: "`onInterruptedTurn` decides what becomes of a turn that was cut",
};

/** Ignores case, because proxy variables are also written in lower case, and Windows ignores case altogether. */
export function matcher(patterns: Patterns): (name: string) => boolean {
  const upper = patterns.map((pattern) => pattern.toUpperCase());
  const names = new Set(upper.filter((pattern) => !pattern.endsWith("*")));
  const beginnings = upper.filter((pattern) => pattern.endsWith("*")).map((pattern) => pattern.slice(0, -1));
  return (name) => {
    const wanted = name.toUpperCase();
    return names.has(wanted) || beginnings.some((beginning) => wanted.startsWith(beginning));
  };
}

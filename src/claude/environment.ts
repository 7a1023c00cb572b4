/** Variables of the host that a Claude Code process gets without being asked for. A trailing `*` stands for any ending. */
const ALLOWED: readonly string[] = [
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
  // What a process on Windows cannot start without
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
  // Claude Code's own
  "ANTHROPIC_*",
  "CLAUDE_*",
];

/** Other ways to authenticate, which would be used beside, or instead of, a key. */
const CREDENTIALS: readonly string[] = [
  "ANTHROPIC_AUTH_TOKEN",
  "CLAUDE_CODE_OAUTH_TOKEN",
  "CLAUDE_CODE_USE_BEDROCK",
  "CLAUDE_CODE_USE_VERTEX",
  "CLAUDE_CODE_USE_FOUNDRY",
];

/** The shortest value that is taken for a secret: what is shorter may stand anywhere. */
const SHORTEST_SECRET = 8;

/** The keys and tokens in an environment. */
export function secretsIn(environment: Readonly<Record<string, string | undefined>>): string[] {
  const names = ["ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN"];
  return names.flatMap((name) => {
    const value = environment[name];
    return value !== undefined && value.length >= SHORTEST_SECRET ? [value] : [];
  });
}

export interface EnvironmentRequest {
  /** The host's own environment. */
  readonly host: Readonly<Record<string, string | undefined>>;
  /** `true` inherits all of it; a list adds names, or beginnings such as `"AWS_*"`, to the allow-list. */
  readonly inheritEnv?: boolean | readonly string[] | undefined;
  /** Set last; a variable that is `undefined` here is left out. */
  readonly env?: Readonly<Record<string, string | undefined>> | undefined;
  /** Becomes `ANTHROPIC_API_KEY`; the host's own credentials are then left out, since Claude Code would send both. */
  readonly apiKey?: string | undefined;
}

/**
 * The environment of a Claude Code process. It is built, not inherited: a secret of the host reaches the model's tools
 * only if somebody named it.
 */
export function buildEnvironment(request: EnvironmentRequest): Record<string, string> {
  const { inheritEnv = false } = request;
  const matches = inheritEnv === true ? () => true : matcher([...ALLOWED, ...(inheritEnv || [])]);
  const built: Record<string, string> = {};
  for (const [name, value] of Object.entries(request.host)) {
    if (value !== undefined && matches(name)) built[name] = value;
  }
  if (request.apiKey !== undefined) for (const name of CREDENTIALS) delete built[name];
  for (const [name, value] of Object.entries(request.env ?? {})) {
    if (value === undefined) delete built[name];
    else built[name] = value;
  }
  if (request.apiKey !== undefined) built["ANTHROPIC_API_KEY"] = request.apiKey;
  return built;
}

/** Proxies are also written in lower case, and Windows ignores case altogether, so names are compared without it. */
export function matcher(patterns: readonly string[]): (name: string) => boolean {
  const upper = patterns.map((pattern) => pattern.toUpperCase());
  const names = new Set(upper.filter((pattern) => !pattern.endsWith("*")));
  const beginnings = upper.filter((pattern) => pattern.endsWith("*")).map((pattern) => pattern.slice(0, -1));
  return (name) => {
    const wanted = name.toUpperCase();
    return names.has(wanted) || beginnings.some((beginning) => wanted.startsWith(beginning));
  };
}

/** What a command of Claude Code's own would change past Castellan, and how it is changed instead. */
interface Controlled {
  readonly changes: string;
  readonly instead: string;
}

/** Writes a file that other sessions read, too, and that outlives all of them. */
const SETTINGS_FILE = "the settings file that all sessions with the same CLAUDE_CONFIG_DIR share";

/** Ends with the process, and `status()` would not show it. */
const THIS_PROCESS = "this process only, which neither `status()` nor the next process would know";

const SETTINGS: Controlled = {
  changes: SETTINGS_FILE,
  instead: "set it with the session's options, such as `permissionMode` and `settings`",
};

/**
 * The commands of Claude Code, by name and alias, after which Castellan's options, and what it shows, would be wrong. Not among
 * them is `/clear`, which the session follows.
 */
const CONTROLLED: { readonly [name: string]: Controlled } = {
  model: { changes: THIS_PROCESS, instead: "call `setModel()`" },
  effort: { changes: THIS_PROCESS, instead: "set the session's option `effort`" },
  fast: { changes: SETTINGS_FILE, instead: "set `fastMode` in the session's option `settings`" },
  mcp: { changes: THIS_PROCESS, instead: "call `toggleMcpServer()` or `reconnectMcpServer()`" },
  config: SETTINGS,
  settings: SETTINGS,
  autocompact: SETTINGS,
  "output-style": { changes: SETTINGS_FILE, instead: "set `outputStyle` in the session's option `settings`" },
};

/** Why Castellan does not hand the command to Claude Code, if that is so. */
export function controlledCommand(name: string): string | undefined {
  const found = Object.hasOwn(CONTROLLED, name) ? CONTROLLED[name] : undefined;
  return found === undefined ? undefined : `\`/${name}\` changes ${found.changes}; ${found.instead}`;
}

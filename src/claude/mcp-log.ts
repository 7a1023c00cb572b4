import { open, readdir } from "node:fs/promises";
import { join } from "node:path";
import { printable } from "../printable.ts";
import { hide, type Secrets } from "./secrets.ts";
import { homeOf } from "./transcript-location.ts";

/** What Claude Code has logged about an MCP server since the process began. */
export interface McpTrace {
  /** How its connection ended, if it was connected and no longer is. */
  readonly ended: string | undefined;
  /** The last error output of the server while it was connecting. */
  readonly words: string | undefined;
}

/** How much of a server's output to keep, in characters, and how much of a log to read at a time, in bytes. */
const KEPT = 500;
const MOST_READ = 256 * 1_024;

/** Claude Code shortens longer folder names and appends a digest. */
const LONGEST_NAME = 200;

/** How much later than the process itself Castellan may notice its start. */
const LAG_MS = 2_000;

const NOTHING: McpTrace = { ended: undefined, words: undefined };

/**
 * Reads the logs of one process's MCP servers. Claude Code keeps them in its cache, one file per server and process.
 * Only they show that a connected server has exited, and what a server wrote to its error output. Neither their
 * location nor their format is documented, so unknown contents are skipped.
 */
export class McpLog {
  readonly #folder: string;
  readonly #conversationId: string;
  readonly #since: number;
  readonly #secrets: Secrets;
  readonly #files = new Map<string, { path: string; offset: number; trace: McpTrace }>();

  /**
   * @param folder where Claude Code keeps the logs of the working directory, see {@link mcpLogFolder}
   * @param conversationId the id under which the process logs
   * @param since when the process started, in milliseconds since the epoch
   * @param secrets values to hide
   */
  constructor(folder: string, conversationId: string, since: number, secrets: Secrets) {
    this.#folder = folder;
    this.#conversationId = conversationId;
    this.#since = since;
    this.#secrets = secrets;
  }

  /** Returns what the log tells of a server; `undefined` if there is no log. */
  async read(server: string): Promise<McpTrace | undefined> {
    const file = this.#files.get(server) ?? (await this.#find(server));
    if (file === undefined) return undefined;
    this.#files.set(server, file);
    const text = await textFrom(file.path, file.offset);
    const whole = text.slice(0, text.lastIndexOf("\n") + 1);
    file.offset += Buffer.byteLength(whole);
    for (const line of whole.split("\n")) file.trace = after(file.trace, line);
    const { ended, words } = file.trace;
    return { ended: this.#shown(ended), words: this.#shown(words) };
  }

  /** Finds this process's log among those of other processes in the same directory. */
  async #find(server: string): Promise<{ path: string; offset: number; trace: McpTrace } | undefined> {
    const name = folderName(server);
    if (name.length > LONGEST_NAME) return undefined;
    const folder = join(this.#folder, `mcp-logs-${name}`);
    const names = await readdir(folder).catch(() => []);
    for (const file of names.toSorted().toReversed()) {
      if (beganAt(file) < this.#since - LAG_MS) return undefined;
      const path = join(folder, file);
      if ((await textFrom(path, 0)).includes(`"sessionId":"${this.#conversationId}"`)) {
        return { path, offset: 0, trace: NOTHING };
      }
    }
    return undefined;
  }

  #shown(text: string | undefined): string | undefined {
    return text === undefined ? undefined : printable(hide(text, this.#secrets).slice(-KEPT));
  }
}

/**
 * Returns the folder of MCP logs for a process with this environment. @param cwd its working directory, without
 * symbolic links
 */
export function mcpLogFolder(cwd: string, environment: Readonly<Record<string, string | undefined>>): string {
  return join(cacheOf(environment), folderName(cwd));
}

function cacheOf(environment: Readonly<Record<string, string | undefined>>): string {
  const home = homeOf(environment);
  if (process.platform === "darwin") return join(home, "Library", "Caches", "claude-cli-nodejs");
  if (process.platform === "win32") {
    return join(environment["LOCALAPPDATA"] ?? join(home, "AppData", "Local"), "claude-cli-nodejs", "Cache");
  }
  return join(environment["XDG_CACHE_HOME"] || join(home, ".cache"), "claude-cli-nodejs");
}

function folderName(name: string): string {
  return name.replaceAll(/[^a-zA-Z0-9]/g, "-");
}

/** Parses the process's start time from a file name such as `2026-11-29T11-54-00-777Z.jsonl`. */
function beganAt(file: string): number {
  const time = /^(\d{4}-\d\d-\d\d)T(\d\d)-(\d\d)-(\d\d)-(\d{3})Z/.exec(file);
  return time === null ? 0 : Date.parse(`${time[1]}T${time[2]}:${time[3]}:${time[4]}.${time[5]}Z`);
}

/** Updates the trace with another line. */
function after(trace: McpTrace, line: string): McpTrace {
  const { debug, error } = entryIn(line);
  const stderr = /^(?:Server stderr|stderr of the stdio server before restarting it): (.*)$/s.exec(
    error ?? debug ?? "",
  );
  if (stderr !== null) return { ...trace, words: stderr[1]?.trim() };
  if (debug?.startsWith("Successfully connected") === true) return NOTHING;
  return debug !== undefined && /^\w+ connection closed after /i.test(debug) ? { ...trace, ended: debug } : trace;
}

function entryIn(line: string): { readonly debug?: string; readonly error?: string } {
  try {
    const entry: unknown = JSON.parse(line);
    if (typeof entry !== "object" || entry === null) return {};
    return {
      ...("debug" in entry && typeof entry.debug === "string" ? { debug: entry.debug } : {}),
      ...("error" in entry && typeof entry.error === "string" ? { error: entry.error } : {}),
    };
  } catch {
    return {};
  }
}

/** Returns the contents of a file from `offset` on; empty if it cannot be read. */
async function textFrom(path: string, offset: number): Promise<string> {
  try {
    await using file = await open(path);
    const { bytesRead, buffer } = await file.read(Buffer.alloc(MOST_READ), 0, MOST_READ, offset);
    return buffer.toString("utf8", 0, bytesRead);
  } catch {
    return "";
  }
}

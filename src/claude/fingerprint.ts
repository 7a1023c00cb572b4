import { createHash } from "node:crypto";
import { statSync } from "node:fs";
import { resolve } from "node:path";
import { type Launch, sdkOptions } from "./launch.ts";

/** Why no spare can replace a process with these options. */
export type SpareMismatch =
  /** It has a working directory of its own. */
  | "own_directory"
  /** Its conversation id is given. */
  | "session_id"
  /** Its transcripts are stored under a key of its own. */
  | "session_store"
  /** The files that a process reads at its start may change before a spare is used. */
  | "setting_sources"
  | "plugins"
  /** Its start hooks would run for a process that may never be used. */
  | "start_hooks"
  /** An in-process MCP server can serve one process only. */
  | "in_process_mcp";

/** The SDK sets it in the host's environment on first use. */
const SDK_VERSION = "CLAUDE_AGENT_SDK_VERSION";

/** Everything that a process starts with, except its conversation and the grants in it. */
export type Shape = Omit<Launch, "conversation" | "standing">;

/** Digests of everything that shapes a process, by part. Digests, so that no key can be read from it. */
export interface Fingerprint {
  readonly id: string;
  readonly parts: ReadonlyMap<string, string>;
}

/** Returns why no spare can replace a process with this shape, or undefined. */
export function spareMismatch({ options, ownDirectory }: Shape): SpareMismatch | undefined {
  if (ownDirectory !== undefined) return "own_directory";
  const { sessionId, resume, sessionStore, settingSources, plugins, hooks, mcpServers } = options;
  if (sessionId !== undefined || resume !== undefined) return "session_id";
  if (sessionStore !== undefined) return "session_store";
  if ((settingSources ?? []).length > 0) return "setting_sources";
  if ((plugins ?? []).length > 0) return "plugins";
  if (hooks?.SessionStart !== undefined || hooks?.Setup !== undefined) return "start_hooks";
  const inProcess = Object.values(mcpServers ?? {}).some((server) => server.type === "sdk");
  return inProcess ? "in_process_mcp" : undefined;
}

/**
 * Computes the fingerprint of everything that shapes a process: its SDK options, its environment, and the directories
 * it may use with their current identity. Functions and class instances are only equal if identical.
 */
export function fingerprintOf(
  shape: Shape,
  host: Readonly<Record<string, string | undefined>> = process.env,
): Fingerprint {
  const { options, approvals = false, ownDirectory: _, ...shaping } = shape;
  const { stderr, spawnClaudeCodeProcess } = options;
  const given = sdkOptions({ ...shape, conversation: { kind: "new", id: "" } }, { marker: "", spawn: nobody }, host);
  // A process that the application spawns may run on another machine, with other files.
  const local = spawnClaudeCodeProcess === undefined;
  const identity = (path: string | undefined): unknown => (path === undefined || !local ? path : pathIdentityOf(path));
  const fields = Object.entries({
    ...given,
    env: { ...given.env, [SDK_VERSION]: undefined },
    ...shaping,
    approvals,
    stderr,
    spawnClaudeCodeProcess,
    sessionId: undefined,
    cwd: identity(given.cwd ?? process.cwd()),
    additionalDirectories: given.additionalDirectories?.map(identity),
    pathToClaudeCodeExecutable: identity(given.pathToClaudeCodeExecutable),
  }).filter(([, value]) => value !== undefined);
  const parts = new Map(fields.map(([name, value]) => [name, digest(canonical(value))]));
  return { id: digest(canonical(Object.fromEntries(parts))), parts };
}

/** Returns the names of the parts that differ. */
export function differencesOf(one: Fingerprint, other: Fingerprint): string[] {
  const names = new Set([...one.parts.keys(), ...other.parts.keys()]);
  return [...names].filter((name) => one.parts.get(name) !== other.parts.get(name));
}

/** Identifies the file behind a path, because another directory or binary may have replaced it. */
function pathIdentityOf(path: string): readonly unknown[] {
  const stats = statSync(path, { throwIfNoEntry: false });
  return [resolve(path), stats?.dev, stats?.ino, stats?.isFile() === true ? stats.mtimeMs : 0];
}

function digest(text: string): string {
  return createHash("sha256").update(text).digest("base64url");
}

const identities = new WeakMap<object, number>();
let lastIdentity = 0;

function identityOf(value: object): number {
  const known = identities.get(value);
  if (known !== undefined) return known;
  identities.set(value, ++lastIdentity);
  return lastIdentity;
}

/** Returns equal texts for equivalent values. */
function canonical(value: unknown): string {
  if (typeof value === "function") return `function ${identityOf(value)}`;
  if (typeof value !== "object" || value === null)
    return `${typeof value} ${String(value)}`.replace(/[\\[\]{},:]/g, "\\$&");
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) return `object ${identityOf(value)}`;
  const fields = Object.entries(value).filter(([, field]) => field !== undefined);
  const sorted = fields.toSorted(([one], [other]) => (one < other ? -1 : 1));
  return `{${sorted.map(([name, field]) => `${canonical(name)}:${canonical(field)}`).join(",")}}`;
}

/** Never called: nothing starts here. */
function nobody(): never {
  throw new Error("a fingerprint starts no process");
}

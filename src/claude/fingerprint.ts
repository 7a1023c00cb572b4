import { createHash } from "node:crypto";
import { statSync } from "node:fs";
import { resolve } from "node:path";
import { type Launch, sdkOptions } from "./launch.ts";

/** Why no other process can stand in for one that would be started with these options. */
export type SpareMismatch =
  /** It works in a directory that no other session has. */
  | "own_directory"
  /** Its id is given. */
  | "session_id"
  /** What is stored is kept under a key of the session's own. */
  | "session_store"
  /** What is read from files when a process starts may be another thing by the time it is used. */
  | "setting_sources"
  | "plugins"
  /** They would be called for a process that may never be used. */
  | "start_hooks"
  /** One server can speak to one process only. */
  | "in_process_mcp";

/** The SDK sets it in the host's environment when it is first used. */
const SDK_VERSION = "CLAUDE_AGENT_SDK_VERSION";

/** What a process is started with, apart from its conversation and what was granted in that. */
export type Shape = Omit<Launch, "conversation" | "standing">;

/** All that shapes a process, each part as a digest, so that no key can be read from it. */
export interface Fingerprint {
  readonly id: string;
  readonly parts: ReadonlyMap<string, string>;
}

/** Why a process that was started ahead could not be used in the place of one with this shape, if that is so. */
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
 * The fingerprint of all that shapes a process: the options as the SDK gets them, the environment, the directories it may use
 * and what they are at this moment. Functions and objects with a class are the same only if they are identical.
 */
export function fingerprintOf(
  shape: Shape,
  host: Readonly<Record<string, string | undefined>> = process.env,
): Fingerprint {
  const { options, approvals = false, ownDirectory: _, ...shaping } = shape;
  const { stderr, spawnClaudeCodeProcess } = options;
  const given = sdkOptions({ ...shape, conversation: { kind: "new", id: "" } }, { marker: "", spawn: nobody }, host);
  // A process of the application's own may run on another machine, with other files.
  const local = spawnClaudeCodeProcess === undefined;
  const place = (path: string | undefined): unknown => (path === undefined || !local ? path : placeOf(path));
  const fields = Object.entries({
    ...given,
    env: { ...given.env, [SDK_VERSION]: undefined },
    ...shaping,
    approvals,
    stderr,
    spawnClaudeCodeProcess,
    sessionId: undefined,
    cwd: place(given.cwd ?? process.cwd()),
    additionalDirectories: given.additionalDirectories?.map(place),
    pathToClaudeCodeExecutable: place(given.pathToClaudeCodeExecutable),
  }).filter(([, value]) => value !== undefined);
  const parts = new Map(fields.map(([name, value]) => [name, digest(canonical(value))]));
  return { id: digest(canonical(Object.fromEntries(parts))), parts };
}

/** The names of the parts in which two differ. */
export function differencesOf(one: Fingerprint, other: Fingerprint): string[] {
  const names = new Set([...one.parts.keys(), ...other.parts.keys()]);
  return [...names].filter((name) => one.parts.get(name) !== other.parts.get(name));
}

/** The same path may lead to another directory, or to another binary, than it did. */
function placeOf(path: string): readonly unknown[] {
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

/** The same text for values that mean the same. */
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

/** Nothing is started here. */
function nobody(): never {
  throw new Error("a fingerprint starts no process");
}

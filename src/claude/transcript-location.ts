import { readdir, realpath, stat } from "node:fs/promises";
import { homedir, userInfo } from "node:os";
import { basename, dirname, join, resolve } from "node:path";
import type { SessionKey } from "@anthropic-ai/claude-agent-sdk";
import { agentSdk } from "../agent-sdk.ts";
import { isTemporary } from "./passing-fault.ts";

/**
 * Where a Claude Code process keeps its transcripts. Both paths are absolute and without symbolic links.
 * JSON-compatible.
 */
export interface TranscriptLocation {
  /** The Claude configuration directory. */
  readonly config: string;
  /** The working directory of the process. */
  readonly cwd: string;
}

/** Returns the location for a process that starts in `cwd` with this environment. Neither directory has to exist. */
export async function transcriptLocationOf(
  cwd: string,
  environment: Readonly<Record<string, string | undefined>>,
): Promise<TranscriptLocation> {
  const real = await realPathOf(cwd);
  // An empty variable differs from an unset one: Claude Code then uses the working directory.
  const config = environment["CLAUDE_CONFIG_DIR"] ?? join(homeOf(environment), ".claude");
  return { cwd: real, config: await realPathOf(resolve(real, config)) };
}

/** Returns the folder at `location` for conversations that begin there. */
export async function transcriptFolderOf({ config, cwd }: TranscriptLocation): Promise<string> {
  return join(projectsOf(config), await projectKeyOf(cwd));
}

/** Returns the transcript that a process at `location` finds when it resumes the conversation, or undefined. */
export async function transcriptAt(id: string, location: TranscriptLocation): Promise<string | undefined> {
  return await findTranscript(id, location.config, await projectKeyOf(location.cwd));
}

/**
 * Searches for a transcript as Claude Code does: in the folder of its working directory, then in all others. If two of
 * the others have one, Claude Code takes neither.
 *
 * @throws Error of the file system if the search is impossible now
 */
export async function findTranscript(id: string, config: string, projectKey: string): Promise<string | undefined> {
  const projects = projectsOf(config);
  const own = join(projects, projectKey, `${id}.jsonl`);
  if (await isFile(own)) return own;
  const entries = await readdir(projects, { withFileTypes: true }).catch((error: unknown) => {
    // A failed search does not mean that there is none.
    if (isTemporary(error)) throw error;
    return [];
  });
  // Folders that are symbolic links are skipped.
  const files = entries.filter((entry) => entry.isDirectory()).map(({ name }) => join(projects, name, `${id}.jsonl`));
  const are = await Promise.all(files.map(isFile));
  const found = files.filter((_, index) => are[index]);
  return found.length === 1 ? found[0] : undefined;
}

function projectsOf(config: string): string {
  return join(config, "projects");
}

/** Any conversation id would do; the call only reveals the key. */
const NO_CONVERSATION = "00000000-0000-4000-8000-000000000000";

/** Returns the SDK's folder name for a working directory. The SDK has no function that returns it. */
async function projectKeyOf(cwd: string): Promise<string> {
  let key = "";
  const load = ({ projectKey }: SessionKey): Promise<null> => {
    key = projectKey;
    return Promise.resolve(null);
  };
  const { getSessionMessages } = await agentSdk();
  await getSessionMessages(NO_CONVERSATION, { dir: cwd, sessionStore: { append: () => Promise.resolve(), load } });
  return key;
}

/** Returns the home directory of a process. Here Claude Code treats an empty variable as unset. */
export function homeOf(environment: Readonly<Record<string, string | undefined>>): string {
  const home = environment[process.platform === "win32" ? "USERPROFILE" : "HOME"];
  if (home) return home;
  try {
    return userInfo().homedir;
  } catch {
    // The user is not in the system's user list.
    return homedir();
  }
}

/** Resolves the symbolic links in the existing part of a path. */
async function realPathOf(path: string): Promise<string> {
  try {
    return await realpath(path);
  } catch {
    const whole = resolve(path);
    const parent = dirname(whole);
    return parent === whole ? whole : join(await realPathOf(parent), basename(whole));
  }
}

async function isFile(path: string): Promise<boolean> {
  return await stat(path).then(
    (found) => found.isFile(),
    () => false,
  );
}

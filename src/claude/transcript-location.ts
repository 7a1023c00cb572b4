import { readdir, realpath, stat } from "node:fs/promises";
import { homedir, userInfo } from "node:os";
import { basename, dirname, join, resolve } from "node:path";
import { getSessionMessages, type SessionKey } from "@anthropic-ai/claude-agent-sdk";
import { passes } from "./passing-fault.ts";

/** Where a Claude Code process keeps its transcripts. Both paths are absolute and without symbolic links. It is JSON. */
export interface TranscriptLocation {
  /** Claude Code's own directory. */
  readonly config: string;
  /** The working directory of the process. */
  readonly cwd: string;
}

/** The location of a process that is started there with this environment. Nothing of it has to exist. */
export async function transcriptLocationOf(
  cwd: string,
  environment: Readonly<Record<string, string | undefined>>,
): Promise<TranscriptLocation> {
  const real = await realPathOf(cwd);
  // An empty variable is not the same as none: Claude Code then takes the working directory.
  const config = environment["CLAUDE_CONFIG_DIR"] ?? join(homeOf(environment), ".claude");
  return { cwd: real, config: await realPathOf(resolve(real, config)) };
}

/** The folder of `location` for conversations that are begun there. */
export async function transcriptFolderOf({ config, cwd }: TranscriptLocation): Promise<string> {
  return join(projectsOf(config), await projectKeyOf(cwd));
}

/** The transcript that a process at `location` finds when it resumes the conversation, if it finds one. */
export async function transcriptAt(id: string, location: TranscriptLocation): Promise<string | undefined> {
  return await findTranscript(id, location.config, await projectKeyOf(location.cwd));
}

/**
 * Looks for a transcript as Claude Code does: in the folder of its working directory, then in those of all others. If two
 * of the others have one, Claude Code takes neither.
 *
 * @throws Error of the file system if it cannot be looked for now
 */
export async function findTranscript(id: string, config: string, projectKey: string): Promise<string | undefined> {
  const projects = projectsOf(config);
  const own = join(projects, projectKey, `${id}.jsonl`);
  if (await isFile(own)) return own;
  const entries = await readdir(projects, { withFileTypes: true }).catch((error: unknown) => {
    // That it cannot be looked for does not mean that there is none.
    if (passes(error)) throw error;
    return [];
  });
  // A folder that is a symbolic link is not looked into.
  const files = entries.filter((entry) => entry.isDirectory()).map(({ name }) => join(projects, name, `${id}.jsonl`));
  const are = await Promise.all(files.map(isFile));
  const found = files.filter((_, index) => are[index]);
  return found.length === 1 ? found[0] : undefined;
}

function projectsOf(config: string): string {
  return join(config, "projects");
}

/** Any conversation would do; it is only asked for to be told under which key. */
const NO_CONVERSATION = "00000000-0000-4000-8000-000000000000";

/** What the SDK makes of a working directory's path to name its folder. It has no function that says so. */
async function projectKeyOf(cwd: string): Promise<string> {
  let key = "";
  const load = ({ projectKey }: SessionKey): Promise<null> => {
    key = projectKey;
    return Promise.resolve(null);
  };
  await getSessionMessages(NO_CONVERSATION, { dir: cwd, sessionStore: { append: () => Promise.resolve(), load } });
  return key;
}

/** The home directory of a process. An empty variable counts as none here, for Claude Code too. */
export function homeOf(environment: Readonly<Record<string, string | undefined>>): string {
  const home = environment[process.platform === "win32" ? "USERPROFILE" : "HOME"];
  if (home) return home;
  try {
    return userInfo().homedir;
  } catch {
    // Who runs this is in no list of users.
    return homedir();
  }
}

/** As much of a path as exists without symbolic links, and the rest as it is. */
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

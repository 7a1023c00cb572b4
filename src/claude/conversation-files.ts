import { createReadStream } from "node:fs";
import { lstat, readdir, rm, rmdir, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { createInterface } from "node:readline";

/** Where Claude Code processes may have left files of these conversations. */
export interface FileSearch {
  /** Ids of conversations. What is no UUID is none of Claude Code's. */
  readonly ids: readonly string[];
  /** Directories of Claude Code's own. */
  readonly configs: readonly string[];
  /** Directories for temporary files, besides this process' own. */
  readonly temporary?: readonly string[];
}

/** The files of one conversation, or folders of them. All that is in a folder is the conversation's. */
export interface ConversationPath {
  readonly path: string;
  readonly conversationId: string;
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;
const UUID_LENGTH = 36;

/** Our own, see conversation-lock.ts: they say who has a conversation, for as long as somebody has. */
const LOCKS = "castellan-locks";

/** What the SDK names a directory in which a process resumes a conversation out of a session store. */
const RESUMED = "claude-resume-";

/** How many folders are read at a time. */
const SIDE_BY_SIDE = 64;

/**
 * What Claude Code has kept of conversations besides what is in a session store, in no particular order: transcripts with those
 * of subagents and results of tools that were too long for them, earlier versions of files, plans, lists of tasks, logs, the
 * output of background commands.
 *
 * Claude Code names all of that by the id of the conversation, but for plans, whose names stand in the transcript. So it is found
 * also where a later release puts more.
 */
export async function conversationFiles(search: FileSearch): Promise<ConversationPath[]> {
  const ids = new Set(search.ids.filter((id) => UUID.test(id)).map((id) => id.toLowerCase()));
  if (ids.size === 0) return [];
  const temporary = [...new Set([tmpdir(), "/tmp", ...(search.temporary ?? [])])];
  const inTemporary = (await Promise.all(temporary.map((folder) => foldersIn(folder)))).flat();
  const resumed = inTemporary.filter((path) => basename(path).startsWith(RESUMED));
  const scratch = inTemporary.filter((path) => basename(path) === `claude-${process.getuid?.() ?? 0}`);
  const named: ConversationPath[] = [];
  for (const config of new Set([...search.configs, ...resumed])) {
    const found = await namedInConfig(config, ids);
    named.push(...found, ...(await plansOf(config, found)));
  }
  for (const folder of scratch) named.push(...(await namedIn(await foldersIn(folder), ids)));
  return named;
}

/** The regular files at, or below, a path. A link is none, and is not followed: whoever put it there need not be allowed to read that. */
export async function filesAt(path: string): Promise<string[]> {
  const found = await entriesAt(path);
  return found.filter(({ isFile }) => isFile).map((entry) => entry.path);
}

/** Removes a file, or a folder with all that is in it; does nothing if it is not there. Resolves with how many files it was. */
export async function removePath(path: string): Promise<number> {
  const { length } = await entriesAt(path);
  await rm(path, { recursive: true, force: true, maxRetries: 3 });
  return length;
}

/** What is at, or below, a path, without the folders; links are themselves. */
async function entriesAt(path: string): Promise<{ readonly path: string; readonly isFile: boolean }[]> {
  const itself = await lstat(path).catch(unlessMissing);
  if (itself === undefined) return [];
  if (!itself.isDirectory()) return [{ path, isFile: itself.isFile() }];
  const entries = (await readdir(path, { recursive: true, withFileTypes: true }).catch(unlessMissing)) ?? [];
  return entries
    .filter((entry) => !entry.isDirectory())
    .map((entry) => ({ path: join(entry.parentPath, entry.name), isFile: entry.isFile() }))
    .toSorted((one, other) => (one.path < other.path ? -1 : 1));
}

function unlessMissing(error: unknown): undefined {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  if (code !== "ENOENT" && code !== "ENOTDIR") throw error;
}

/** Removes the folder if nothing is in it. */
export async function removeIfEmpty(folder: string): Promise<void> {
  await rmdir(folder).catch(() => {});
}

async function namedInConfig(config: string, ids: ReadonlySet<string>): Promise<ConversationPath[]> {
  const folders = (await foldersIn(config)).filter((path) => basename(path) !== LOCKS);
  return await namedIn([...folders, ...(await foldersIn(join(config, "projects")))], ids);
}

/** What is directly in these folders and has a name that begins with one of the ids. */
async function namedIn(folders: readonly string[], ids: ReadonlySet<string>): Promise<ConversationPath[]> {
  const found: ConversationPath[] = [];
  for (let from = 0; from < folders.length; from += SIDE_BY_SIDE) {
    const some = folders.slice(from, from + SIDE_BY_SIDE);
    const names = await Promise.all(some.map((folder) => readdir(folder).catch((): string[] => [])));
    for (const [index, folder] of some.entries()) {
      for (const name of names[index] ?? []) {
        const conversationId = name.slice(0, UUID_LENGTH).toLowerCase();
        if (ids.has(conversationId)) found.push({ path: join(folder, name), conversationId });
      }
    }
  }
  return found;
}

/** Plans that were made in these conversations, by the names that their transcripts tell. */
async function plansOf(config: string, found: readonly ConversationPath[]): Promise<ConversationPath[]> {
  const folder = join(config, "plans");
  const names = await readdir(folder).catch((): string[] => []);
  if (names.length === 0) return [];
  const plans: ConversationPath[] = [];
  for (const { path, conversationId } of found) {
    const files = await filesAt(path);
    for (const file of files.filter((name) => name.endsWith(".jsonl"))) {
      for (const slug of await slugsIn(file)) {
        const own = names.filter((name) => name === `${slug}.md` || name.startsWith(`${slug}-agent-`));
        plans.push(...own.map((name) => ({ path: join(folder, name), conversationId })));
      }
    }
  }
  return [...new Map(plans.map((plan) => [plan.path, plan])).values()];
}

/** By what a transcript names its plans. Entries that a fork has taken over have no such name. */
async function slugsIn(transcript: string): Promise<Set<string>> {
  const slugs = new Set<string>();
  for await (const line of linesOf(transcript)) {
    if (!line.includes('"slug"')) continue;
    const slug = slugOf(line);
    if (slug !== undefined) slugs.add(slug);
  }
  return slugs;
}

function slugOf(line: string): string | undefined {
  try {
    const entry: unknown = JSON.parse(line);
    const slug = typeof entry === "object" && entry !== null && "slug" in entry ? entry.slug : undefined;
    return typeof slug === "string" && slug !== "" ? slug : undefined;
  } catch {
    // Half a line that a process has left which was killed.
    return undefined;
  }
}

/** The lines of a text file, read as they are asked for; none if it cannot be read. */
export async function* linesOf(file: string): AsyncGenerator<string, void, undefined> {
  const there = await stat(file).then(
    (found) => found.isFile(),
    () => false,
  );
  if (there) yield* createInterface({ input: createReadStream(file, "utf8"), crlfDelay: Number.POSITIVE_INFINITY });
}

/** The folders in a folder; a symbolic link is none. */
async function foldersIn(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
  return entries.filter((entry) => entry.isDirectory()).map(({ name }) => join(folder, name));
}

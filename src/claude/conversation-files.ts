import { createReadStream } from "node:fs";
import { lstat, readdir, rm, rmdir, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { createInterface } from "node:readline";

/** Where Claude Code may have left files of these conversations. */
export interface FileSearch {
  /** Conversation ids. Ids that are not UUIDs are ignored. */
  readonly ids: readonly string[];
  /** Claude configuration directories. */
  readonly configs: readonly string[];
  /** Directories for temporary files, besides this process's own. */
  readonly temporary?: readonly string[];
}

/** A file or folder of one conversation. Everything in the folder belongs to the conversation. */
export interface ConversationPath {
  readonly path: string;
  readonly conversationId: string;
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;
const UUID_LENGTH = 36;

/** Castellan's own lock files, see conversation-lock.ts. */
const LOCKS = "castellan-locks";

/** The SDK's name prefix for directories in which a process resumes a conversation from a session store. */
const RESUMED = "claude-resume-";

/** How many folders to read at a time. */
const SIDE_BY_SIDE = 64;

/**
 * Returns everything that Claude Code has kept of conversations outside a session store, in no particular order:
 * transcripts with subagents' transcripts and large tool results, earlier versions of files, plans, task lists, logs,
 * and the output of background commands.
 *
 * Claude Code names all of these after the conversation's id, except plans, whose names the transcript has. So files of
 * a later release are found, too.
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

/**
 * Returns the regular files at, or below, a path. Links are ignored and not followed: whoever created one may not be
 * allowed to read its target.
 */
export async function filesAt(path: string): Promise<string[]> {
  const found = await entriesAt(path);
  return found.filter(({ isFile }) => isFile).map((entry) => entry.path);
}

/** Removes a file, or a folder with its contents, if it exists. Resolves with the number of files removed. */
export async function removePath(path: string): Promise<number> {
  const { length } = await entriesAt(path);
  await rm(path, { recursive: true, force: true, maxRetries: 3 });
  return length;
}

/** Returns everything at, or below, a path, without folders; links count as themselves. */
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

/** Removes the folder if it is empty. */
export async function removeIfEmpty(folder: string): Promise<void> {
  await rmdir(folder).catch(() => {});
}

async function namedInConfig(config: string, ids: ReadonlySet<string>): Promise<ConversationPath[]> {
  const folders = (await foldersIn(config)).filter((path) => basename(path) !== LOCKS);
  return await namedIn([...folders, ...(await foldersIn(join(config, "projects")))], ids);
}

/** Returns the direct entries of these folders whose name begins with one of the ids. */
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

/** Returns the plans of these conversations, by the names in their transcripts. */
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

/** Returns the names of a transcript's plans. Entries copied by a fork have no such name. */
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
    // An incomplete line, left by a killed process.
    return undefined;
  }
}

/** Yields the lines of a text file lazily; none if it cannot be read. */
export async function* linesOf(file: string): AsyncGenerator<string, void, undefined> {
  const there = await stat(file).then(
    (found) => found.isFile(),
    () => false,
  );
  if (there) yield* createInterface({ input: createReadStream(file, "utf8"), crlfDelay: Number.POSITIVE_INFINITY });
}

/** Returns the folders in a folder; symbolic links do not count. */
async function foldersIn(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
  return entries.filter((entry) => entry.isDirectory()).map(({ name }) => join(folder, name));
}

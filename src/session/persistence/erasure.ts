import { stat } from "node:fs/promises";
import { basename, dirname } from "node:path";
import type { SessionStore } from "@anthropic-ai/claude-agent-sdk";
import { type ConversationPath, removeIfEmpty, removePath } from "../../claude/conversation-files.ts";
import { ConversationInUse, type ConversationLock, lockConversation } from "../../claude/conversation-lock.ts";
import { formatMarker, thisOwner } from "../../claude/marker.ts";
import { CastellanError } from "../../errors.ts";
import { formatName, nameOfKey, type SessionName } from "../../names.ts";
import { conversationClaims } from "../conversation/conversation-claims.ts";
import type { Belongings } from "./belongings.ts";

/** Something of a session that was not removed, for good: calling again does not remove it either. */
export interface LeftBehind {
  readonly what: "memory" | "transcript" | "files";
  /** A path, or words for what has no path here. */
  readonly where: string;
  /** One sentence for people. */
  readonly why: string;
  /** On which node of a cluster, if it is one's. */
  readonly node?: string;
}

/** What was removed of a session. All that has a count was removed; what was not stands in `left`. */
export interface ErasureReport {
  readonly name: SessionName;
  readonly turns: number;
  readonly approvals: number;
  /** Claude's ids of all conversations that it had, by which backups and logs of the application's own can be searched. */
  readonly conversations: readonly string[];
  /** Of how many of them there was a transcript, in a file or in a session store. */
  readonly transcripts: number;
  /** How many files were removed, transcripts among them. */
  readonly files: number;
  /** Under which name `usage()` shows what it has spent; left out if it has spent nothing. */
  readonly spentBy?: SessionName;
  readonly left: readonly LeftBehind[];
}

/** What was removed of a session outside of the journal. */
export type Removed = Pick<ErasureReport, "conversations" | "transcripts" | "files" | "left">;

export const NOTHING_REMOVED: Removed = { conversations: [], transcripts: 0, files: 0, left: [] };

/** How belongings are removed. */
export interface RemovalTerms {
  /** The canonical form of the session's name. */
  readonly key: string;
  /** Whether the working directories are the session's alone, so that their memory is, too. */
  readonly memory: boolean;
  /** Unlike any other. */
  readonly id: string;
}

/** What could not be removed, and why. */
interface Obstacle {
  readonly where: string;
  readonly cause: unknown;
}

/**
 * Removes all that the conversations of a session have left outside of the journal. None of its processes may be there any more.
 * What is not there is not missed, so that what was cut off goes on with the next call.
 *
 * @throws CastellanError `ERASURE_INCOMPLETE` if something could not be removed; `JOURNAL_UNAVAILABLE` or `NOT_OWNER` as the session
 * store says it
 */
export async function removeBelongings(belongings: Belongings, { key, memory, id }: RemovalTerms): Promise<Removed> {
  const own = belongings.conversations.filter((one) => conversationClaims.claim(one, key) === undefined);
  const others = belongings.conversations.filter((one) => !own.includes(one));
  const obstacles: Obstacle[] = [];
  const locks: ConversationLock[] = [];
  try {
    if (belongings.stored && belongings.store === undefined) {
      obstacles.push({ where: "a session store", cause: "no option names it; give it as `sessionStore`" });
    }
    for (const config of belongings.configs) {
      if (!(await exists(config))) continue;
      for (const one of own) locks.push(...(await locked(one, config, id, obstacles)));
    }
    // Before anything is removed.
    if (obstacles.length > 0) throw incomplete(key, obstacles);
    const found = await belongings.files(own);
    const stored = await removedFromStore(belongings, own, obstacles);
    const files = await removed(found, obstacles);
    const remembered = await belongings.memories();
    const alone = [...(await belongings.ownMemories()), ...(memory ? remembered : [])];
    const forgotten = await removed(alone.map(asPath), obstacles);
    if (obstacles.length > 0) throw incomplete(key, obstacles);
    if (memory)
      for (const path of [...remembered, ...found.map(({ path }) => path)]) await removeProject(dirname(path));
    const transcribed = found.flatMap(({ path, conversationId }) => (path.endsWith(".jsonl") ? [conversationId] : []));
    return {
      conversations: own,
      transcripts: new Set([...transcribed, ...stored]).size,
      files: files + forgotten,
      left: [...leftOf(belongings, others), ...(memory ? [] : remembered.map(sharedMemory))],
    };
  } finally {
    for (const lock of locks) await lock.release();
    for (const one of own) conversationClaims.release(one, key);
  }
}

/** Where another application has the conversation it is left alone. */
async function locked(
  conversation: string,
  config: string,
  id: string,
  obstacles: Obstacle[],
): Promise<ConversationLock[]> {
  try {
    return [await lockConversation(conversation, formatMarker(thisOwner(), id), config)];
  } catch (cause) {
    if (!(cause instanceof ConversationInUse)) throw cause;
    obstacles.push({ where: `the conversation ${conversation} in ${config}`, cause });
    return [];
  }
}

async function removed(paths: readonly Pick<ConversationPath, "path">[], obstacles: Obstacle[]): Promise<number> {
  let files = 0;
  for (const { path } of paths) {
    try {
      files += await removePath(path);
    } catch (cause) {
      obstacles.push({ where: path, cause });
    }
  }
  return files;
}

/** The conversations that the store had. */
async function removedFromStore(
  belongings: Belongings,
  conversations: readonly string[],
  obstacles: Obstacle[],
): Promise<Set<string>> {
  const { store } = belongings;
  const had = new Set<string>();
  if (store?.delete === undefined) return had;
  for (const key of belongings.storedKeys(conversations)) {
    try {
      if ((await store.load(key)) !== null) had.add(key.sessionId);
      await store.delete(key);
    } catch (cause) {
      if (CastellanError.is(cause)) throw cause;
      obstacles.push({ where: `the transcript of ${key.sessionId} in its session store`, cause });
    }
  }
  return had;
}

/** The name of a project's folder is made from the path of the working directory, which may tell the session's. */
async function removeProject(folder: string): Promise<void> {
  const parent = basename(dirname(folder));
  if (parent === "projects" || parent.startsWith("claude-")) await removeIfEmpty(folder);
}

async function exists(path: string): Promise<boolean> {
  return await stat(path).then(
    () => true,
    () => false,
  );
}

function leftOf({ store, stored, elsewhere }: Belongings, others: readonly string[]): LeftBehind[] {
  const why = "its session store has no `delete`, so that nothing can be removed from it";
  return [
    ...others.map((id): LeftBehind => {
      const where = `conversation ${id}`;
      return { what: "transcript", where, why: "it is another session's by now; erase that one" };
    }),
    ...(stored && store !== undefined && store.delete === undefined
      ? [{ what: "transcript", where: "session store", why } as const]
      : []),
    ...(elsewhere
      ? [
          {
            what: "files",
            where: "where `spawnClaudeCodeProcess` starts its processes",
            why: "the application starts them itself, so that their files may be anywhere; remove those of `conversations` there",
          } as const,
        ]
      : []),
  ];
}

function sharedMemory(where: string): LeftBehind {
  const why =
    "it belongs to the working directory, which others may share; if it is this session's alone, erase with `memory: true`";
  return { what: "memory", where, why };
}

function asPath(path: string): { readonly path: string } {
  return { path };
}

function incomplete(key: string, obstacles: readonly Obstacle[]): CastellanError<"ERASURE_INCOMPLETE"> {
  const [first] = obstacles;
  const words = first?.cause instanceof Error ? first.cause.message : String(first?.cause);
  const more = obstacles.length > 1 ? ` and ${obstacles.length - 1} more` : "";
  const message = `session ${formatName(nameOfKey(key))}: it could not be erased, because of ${first?.where}${more}: ${words}. Mend that and call \`eraseSession\`; until then the journal knows what there is to erase.`;
  const details = { remaining: obstacles.map(({ where }) => where) };
  return new CastellanError("ERASURE_INCOMPLETE", message, { details, cause: first?.cause });
}

/** How a session is erased. */
export interface EraseOptions {
  /**
   * Whether the working directory is this session's alone, so that what Claude remembers of it (its auto-memory) is removed too.
   * Default `false`: the report says where there is any.
   */
  readonly memory?: boolean;
  /** The session store that has its transcripts, if it is in none that the options of the session, or of all, name. */
  readonly sessionStore?: SessionStore;
}

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

/** Something that an erasure did not remove and that another call would not remove either. */
export interface LeftBehind {
  readonly what: "memory" | "transcript" | "files";
  /** A path, or a description if there is no path on this machine. */
  readonly where: string;
  /** One sentence for people. */
  readonly why: string;
  /** The cluster node that has it, if any. */
  readonly node?: string;
}

/** What an erasure removed. Counts cover removed items only; `left` lists the rest. */
export interface ErasureReport {
  readonly name: SessionName;
  readonly turns: number;
  readonly approvals: number;
  readonly events: number;
  /** How many prompts were waiting to become turns: schedules of a session, jobs of a pool. */
  readonly jobs: number;
  /** Claude's ids of all the session's conversations, to search backups and the application's own logs by. */
  readonly conversations: readonly string[];
  /** How many conversations had a transcript, in the journal, in a file or in a session store. */
  readonly transcripts: number;
  /** How many files were removed, transcripts included. */
  readonly files: number;
  /**
   * The name under which `usage()` now shows the session's spending; left out if it spent nothing. For a pool, the
   * names for its members begin with it.
   */
  readonly spentBy?: SessionName;
  readonly left: readonly LeftBehind[];
}

/** What an erasure removed outside the journal. */
export type Removed = Pick<ErasureReport, "conversations" | "transcripts" | "files" | "left">;

export const NOTHING_REMOVED: Removed = { conversations: [], transcripts: 0, files: 0, left: [] };

/** How to remove belongings. */
export interface RemovalTerms {
  /** The canonical form of the session's name. */
  readonly key: string;
  /** Whether the working directories, and therefore Claude's memory of them, belong to this session alone. */
  readonly memory: boolean;
  /** A unique id, which marks the conversation locks. */
  readonly id: string;
}

/** What could not be removed, and why. */
interface Obstacle {
  readonly where: string;
  readonly cause: unknown;
}

/**
 * Removes everything that the session's conversations left outside the journal. None of its processes may exist any
 * more. Idempotent: missing files are skipped, so a repeated call finishes an interrupted one.
 *
 * @throws CastellanError `ERASURE_INCOMPLETE` if something could not be removed; any CastellanError that the session
 * store throws
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
    // Fail before anything is removed.
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
      transcripts: new Set([...transcribed, ...stored, ...journaledOf(belongings, own)]).size,
      files: files + forgotten,
      left: [...leftOf(belongings, others), ...(memory ? [] : remembered.map(sharedMemory))],
    };
  } finally {
    for (const lock of locks) await lock.release();
    for (const one of own) conversationClaims.release(one, key);
  }
}

/** Locks a conversation. One that another application uses becomes an obstacle. */
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

/** Removes transcripts from the store and returns the ids of those it had. */
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

/** A project folder's name comes from the path of the working directory, which may contain the session's name. */
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

/** Returns the ids of those conversations that have a transcript in the journal. */
function journaledOf({ journaled }: Belongings, conversations: readonly string[]): string[] {
  return journaled.flatMap(({ conversationId }) => (conversations.includes(conversationId) ? [conversationId] : []));
}

function leftOf({ store, stored, elsewhere }: Belongings, others: readonly string[]): LeftBehind[] {
  const why = "its session store has no `delete`, so nothing can be removed from it";
  return [
    ...others.map((id): LeftBehind => {
      const where = `conversation ${id}`;
      return { what: "transcript", where, why: "it belongs to another session now; erase that one" };
    }),
    ...(stored && store !== undefined && store.delete === undefined
      ? [{ what: "transcript", where: "session store", why } as const]
      : []),
    ...(elsewhere
      ? [
          {
            what: "files",
            where: "where `spawnClaudeCodeProcess` starts its processes",
            why: "the application starts them itself, so their files may be anywhere; remove the files of `conversations` there",
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
  const message = `session ${formatName(nameOfKey(key))}: it could not be erased, because of ${first?.where}${more}: ${words}. Fix that and call \`eraseSession\`; until then the journal knows what there is to erase.`;
  const details = { remaining: obstacles.map(({ where }) => where) };
  return new CastellanError("ERASURE_INCOMPLETE", message, { details, cause: first?.cause });
}

/** How to erase a session. */
export interface EraseOptions {
  /**
   * Also removes Claude's auto-memory of the working directory. Set it only if the directory belongs to this session
   * alone. Default `false`: the report lists the memory in `left`.
   */
  readonly memory?: boolean;
  /** The session store with its transcripts, if neither the session's options nor the defaults name it. */
  readonly sessionStore?: SessionStore;
}

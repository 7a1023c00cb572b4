import type { SessionKey, SessionStore, SessionStoreEntry } from "@anthropic-ai/claude-agent-sdk";
import type { Clock } from "../clock.ts";
import { withDeadline } from "../deadline.ts";
import { formatDuration } from "../duration.ts";
import { withWholeCompactions } from "./half-compaction.ts";
import { withNamedLeaf } from "./resumed-leaf.ts";

/** How long a store may take to append. The SDK waits a minute for each batch and holds the result back meanwhile. */
const APPEND_MS = 20_000;

/** The project key of a session's transcripts in its store. */
export interface StoreKey {
  /** Returns the key, if known. */
  get(): string | undefined;
  learned(projectKey: string): void;
}

/**
 * Wraps a session store for a session's use over many processes.
 *
 * The SDK derives a transcript's key from the working directory, and a different one after Claude Code moves. A session
 * that changes its directory or works in a worktree would silently resume an older state. The wrapper keeps everything
 * under the first key.
 *
 * It omits half-written compactions, see {@link withWholeCompactions}, and makes Claude Code resume the branch that was
 * written last, see {@link withNamedLeaf}.
 *
 * A store that hangs delays one batch, not each: until it answers, it is not called again, and the SDK reports every
 * dropped batch.
 */
export function steadyStore(store: SessionStore, key: StoreKey, clock: Clock): SessionStore {
  const pinned = (projectKey: string): string => {
    const first = key.get();
    if (first === undefined) key.learned(projectKey);
    return first ?? projectKey;
  };
  const under = <Key extends { projectKey: string }>(given: Key): Key => ({
    ...given,
    projectKey: pinned(given.projectKey),
  });
  let stuck = false;
  const append = async (given: SessionKey, entries: SessionStoreEntry[]): Promise<void> => {
    if (stuck) throw new Error(`the session store has not finished an append for ${formatDuration(APPEND_MS)}`);
    const appended = store.append(under(given), entries);
    await withDeadline(clock, APPEND_MS, appended, () => {
      stuck = true;
      const freed = (): void => {
        stuck = false;
      };
      appended.then(freed, freed);
      throw new Error(`the session store did not append within ${formatDuration(APPEND_MS)}`);
    });
  };
  const { listSessions, listSessionSummaries, delete: remove, listSubkeys } = store;
  return {
    append,
    load: async (given) => {
      const entries = await store.load(under(given));
      return entries === null || given.subpath !== undefined ? entries : withNamedLeaf(withWholeCompactions(entries));
    },
    // The SDK calls only methods that exist.
    ...(listSessions && { listSessions: (project: string) => listSessions.call(store, pinned(project)) }),
    ...(listSessionSummaries && {
      listSessionSummaries: (project: string) => listSessionSummaries.call(store, pinned(project)),
    }),
    ...(remove && { delete: (given: SessionKey) => remove.call(store, under(given)) }),
    ...(listSubkeys && {
      listSubkeys: (given: { projectKey: string; sessionId: string }) => listSubkeys.call(store, under(given)),
    }),
  };
}

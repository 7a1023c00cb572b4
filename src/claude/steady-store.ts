import type { SessionKey, SessionStore, SessionStoreEntry } from "@anthropic-ai/claude-agent-sdk";
import type { Clock } from "../clock.ts";
import { withDeadline } from "../deadline.ts";
import { formatDuration } from "../duration.ts";
import { withNamedLeaf } from "./resumed-leaf.ts";
import { withWholeCompactions } from "./whole-compactions.ts";

/** How long a store may take to append. The SDK waits a minute for each batch, and holds the result back meanwhile. */
const APPEND_MS = 20_000;

/** Under which key a session's transcripts are in its store. */
export interface StoreKey {
  /** As far as it is known. */
  get(): string | undefined;
  learned(projectKey: string): void;
}

/**
 * A session store as a session uses it over many processes.
 *
 * The SDK makes the key of a transcript from the working directory, and another one from where Claude Code has moved it to. So a
 * session whose directory changes, or that works in a worktree, would resume an older state without a word. Here all is under the
 * first key.
 *
 * What it has of a compaction that was written by half is left out, see {@link withWholeCompactions}, and the branch that was written
 * last is the one that is resumed, see {@link withNamedLeaf}.
 *
 * A store that does not come back holds up one batch, not each: until it has, it is not asked again, and the SDK says of
 * every batch that is dropped meanwhile that it is.
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
    if (stuck) throw new Error(`the session store has not come back from an append for ${formatDuration(APPEND_MS)}`);
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
    // The SDK asks only for what is there.
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

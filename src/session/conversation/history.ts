import {
  getSessionMessages,
  type Options as SdkOptions,
  type SessionKey,
  type SessionMessage,
  type SessionStoreEntry,
} from "@anthropic-ai/claude-agent-sdk";
import { localTranscripts } from "../../claude/local-transcripts.ts";
import { transcriptAt, transcriptPlaceOf } from "../../claude/transcript-place.ts";
import { transcriptHas } from "../../claude/transcript-search.ts";
import type { Conversation } from "./conversation.ts";

/** Which part of a history is wanted. */
export interface HistoryOptions {
  /** How many messages at the most. Default: all. */
  readonly limit?: number;
  /** How many to leave out from the beginning. Default 0. */
  readonly offset?: number;
}

/** What tells where a process of the session looks for its transcripts. */
export interface HistorySource {
  readonly sdk: Pick<SdkOptions, "cwd" | "sessionStore">;
  readonly environment: Readonly<Record<string, string>>;
}

/**
 * What has been said in a conversation, oldest first, as the next process would remember it: a fork that is still to be
 * made has its source's, and what is to be cut away is left out.
 */
export async function historyOf(
  conversation: Conversation,
  { sdk, environment }: HistorySource,
  { limit, offset = 0 }: HistoryOptions,
): Promise<SessionMessage[]> {
  const { id, at } = sourceOf(conversation);
  const said = await readTranscript(id, { sdk, environment });
  const last = at === undefined ? -1 : said.findIndex(({ uuid }) => uuid === at);
  const kept = last === -1 ? said : said.slice(0, last + 1);
  return kept.slice(offset, limit === undefined ? undefined : offset + limit);
}

/**
 * What stands in a conversation's transcript, oldest first, also what is to be cut away: after a cut a turn may have been run
 * again of which the session knows nothing.
 */
export async function transcriptOf(conversation: Conversation, source: HistorySource): Promise<SessionMessage[]> {
  return await readTranscript(sourceOf(conversation).id, source);
}

/**
 * Whether a message with one of these ids stands in the transcript of a conversation. `undefined` if there is none, or it cannot be
 * read or is not on this machine.
 */
export async function hasOneOf(
  uuids: readonly string[],
  id: string,
  { sdk, environment }: HistorySource & { readonly sdk: Pick<SdkOptions, "spawnClaudeCodeProcess"> },
): Promise<boolean | undefined> {
  const { sessionStore, spawnClaudeCodeProcess } = sdk;
  const dir = sdk.cwd ?? process.cwd();
  if (sessionStore !== undefined) {
    let found: boolean | undefined;
    // It is the SDK that knows under which key they are.
    const load = async (key: SessionKey): Promise<SessionStoreEntry[] | null> => {
      const entries = await sessionStore.load(key);
      if (entries !== null) found = entries.some(({ uuid }) => uuid !== undefined && uuids.includes(uuid));
      return null;
    };
    await getSessionMessages(id, { dir, sessionStore: { append: () => Promise.resolve(), load } }).catch(() => {});
    return found;
  }
  if (spawnClaudeCodeProcess !== undefined) return undefined;
  const file = await transcriptAt(id, await transcriptPlaceOf(dir, environment));
  if (file === undefined) return undefined;
  return await transcriptHas(file, uuids).catch(() => undefined);
}

async function readTranscript(id: string, { sdk, environment }: HistorySource): Promise<SessionMessage[]> {
  const dir = sdk.cwd ?? process.cwd();
  const sessionStore = sdk.sessionStore ?? localTranscripts(await transcriptPlaceOf(dir, environment));
  return await getSessionMessages(id, { dir, sessionStore });
}

function sourceOf(conversation: Conversation): { readonly id: string; readonly at?: string | undefined } {
  if (conversation.kind === "fork") return { id: conversation.fork.from, at: conversation.fork.at };
  const { id } = conversation;
  return conversation.kind === "kept" && conversation.cut ? { id, at: conversation.lastUuid } : { id };
}

import type {
  Options as SdkOptions,
  SessionKey,
  SessionMessage,
  SessionStoreEntry,
} from "@anthropic-ai/claude-agent-sdk";
import { agentSdk } from "../agent-sdk.ts";
import { localTranscripts } from "./local-transcripts.ts";
import { transcriptAt, transcriptLocationOf } from "./transcript-location.ts";
import { transcriptHas } from "./transcript-search.ts";

/** The options and the environment that decide where a process keeps its transcripts. */
export interface TranscriptSource {
  readonly sdk: Pick<SdkOptions, "cwd" | "sessionStore" | "spawnClaudeCodeProcess">;
  readonly environment: Readonly<Record<string, string>>;
}

/**
 * Returns the messages of a transcript, oldest first; none if there is no transcript.
 *
 * @param until the id of the last message to return; all are returned if the transcript lacks it
 * @throws Error of the file system or the session store
 */
export async function readTranscript(
  id: string,
  { sdk, environment }: TranscriptSource,
  until?: string,
): Promise<SessionMessage[]> {
  const dir = sdk.cwd ?? process.cwd();
  const sessionStore = sdk.sessionStore ?? localTranscripts(await transcriptLocationOf(dir, environment));
  const { getSessionMessages } = await agentSdk();
  const messages = await getSessionMessages(id, { dir, sessionStore });
  const last = until === undefined ? -1 : messages.findIndex(({ uuid }) => uuid === until);
  return last === -1 ? messages : messages.slice(0, last + 1);
}

/**
 * Whether a transcript has a message with one of these ids; `undefined` if there is no transcript, it cannot be read,
 * or it is not on this machine.
 */
export async function transcriptHasOneOf(
  uuids: readonly string[],
  id: string,
  { sdk, environment }: TranscriptSource,
): Promise<boolean | undefined> {
  const { sessionStore, spawnClaudeCodeProcess } = sdk;
  const dir = sdk.cwd ?? process.cwd();
  if (sessionStore !== undefined) {
    let found: boolean | undefined;
    // Only the SDK knows the store's key.
    const load = async (key: SessionKey): Promise<SessionStoreEntry[] | null> => {
      const entries = await sessionStore.load(key);
      if (entries !== null) found = entries.some(({ uuid }) => uuid !== undefined && uuids.includes(uuid));
      return null;
    };
    const { getSessionMessages } = await agentSdk();
    await getSessionMessages(id, { dir, sessionStore: { append: () => Promise.resolve(), load } }).catch(() => {});
    return found;
  }
  if (spawnClaudeCodeProcess !== undefined) return undefined;
  const file = await transcriptAt(id, await transcriptLocationOf(dir, environment));
  if (file === undefined) return undefined;
  return await transcriptHas(file, uuids).catch(() => undefined);
}

import { join } from "node:path";
import type { Options as SdkOptions, SessionStore, SessionStoreEntry } from "@anthropic-ai/claude-agent-sdk";
import type { TranscriptKey } from "../journal/model/transcript-entry.ts";
import { homeOf } from "./transcript-location.ts";

/** Receives the entries that a process writes to its transcripts, in order and before the result of their turn. */
export type MirrorTranscript = (key: TranscriptKey, entries: readonly SessionStoreEntry[]) => void;

/** Whether a process with these options keeps its transcripts on this machine, and nowhere else. */
export function isWrittenHere({
  sessionStore,
  spawnClaudeCodeProcess,
}: Pick<SdkOptions, "sessionStore" | "spawnClaudeCodeProcess">): boolean {
  return sessionStore === undefined && spawnClaudeCodeProcess === undefined;
}

/** Tells Claude Code where its files are. The SDK needs it, too. */
const CONFIG_DIR = "CLAUDE_CONFIG_DIR";

/** The SDK refuses the option beside a session store: a process that resumes from one lacks its files. Ours has them. */
const FILE_CHECKPOINTING = "CLAUDE_CODE_ENABLE_SDK_FILE_CHECKPOINTING";

/**
 * Adds to the SDK's options that the process resumes from `store`, and that the store receives its transcripts. For a
 * process that the application spawns, which may not find the files of this machine.
 */
export function resumingFrom(options: SdkOptions, store: SessionStore): SdkOptions {
  const { enableFileCheckpointing, env, sessionStoreFlush = "eager", ...rest } = options;
  return {
    ...rest,
    sessionStore: store,
    sessionStoreFlush,
    ...(enableFileCheckpointing === true ? { env: { ...env, [FILE_CHECKPOINTING]: "true" } } : env && { env }),
  };
}

/**
 * Adds to the SDK's options that `mirror` receives the entries of transcripts. The process reads its own files when it
 * resumes, as without a session store: the store of these options has no transcripts.
 */
export function mirroring(options: SdkOptions, mirror: MirrorTranscript): SdkOptions {
  const { enableFileCheckpointing, env = {}, spawnClaudeCodeProcess: spawn, ...rest } = options;
  // Without the variable, the SDK drops what a process with another home directory than the host's writes.
  const configDir = env[CONFIG_DIR] ?? join(homeOf(env), ".claude");
  return {
    ...rest,
    env: { ...env, [CONFIG_DIR]: configDir, ...(enableFileCheckpointing === true && { [FILE_CHECKPOINTING]: "true" }) },
    sessionStore: {
      append: async ({ sessionId, subpath }, entries) => {
        mirror({ conversationId: sessionId, ...(subpath !== undefined && { subpath }) }, entries);
      },
      load: async () => null,
    },
    sessionStoreFlush: "eager",
    ...(spawn !== undefined && {
      spawnClaudeCodeProcess: (start) => {
        if (env[CONFIG_DIR] !== undefined) return spawn(start);
        // With the variable, Claude Code would look for its settings elsewhere.
        const { [CONFIG_DIR]: _, ...own } = start.env;
        return spawn({ ...start, env: own });
      },
    }),
  };
}

import { join } from "node:path";
import type { Options as SdkOptions, SessionStore } from "@anthropic-ai/claude-agent-sdk";
import { type ConversationPath, conversationFiles, filesAt } from "../../claude/conversation-files.ts";
import { keptInOwnDirectory, type OwnDirectory } from "../../claude/own-directory.ts";
import { type TranscriptLocation, transcriptFolderOf, transcriptLocationOf } from "../../claude/transcript-location.ts";
import type { ConversationEntry } from "../../journal/model/conversation-entry.ts";
import type { SessionEntry } from "../../journal/model/session-entry.ts";
import type { TranscriptHead } from "../../journal/model/transcript-entry.ts";
import { readWhere } from "../conversation/session-memory.ts";

/** The parts of a session store that read and remove transcripts. */
export type TranscriptsInStore = Pick<SessionStore, "load" | "listSubkeys" | "delete">;

/** How a session's processes start, as far as that decides where they leave files. */
export interface BelongingsSource {
  /** The session's own working directory, if it has one. */
  readonly ownDirectory?: OwnDirectory | undefined;
  readonly sdk: Pick<SdkOptions, "cwd" | "spawnClaudeCodeProcess"> & { readonly sessionStore?: TranscriptsInStore };
  readonly environment: Readonly<Record<string, string>>;
}

/** The current and the former conversations of a session, as the journal knows them. */
export interface KnownConversations {
  readonly entry: SessionEntry | undefined;
  readonly left: readonly ConversationEntry[];
  /** The transcripts in the journal, with those of subagents. */
  readonly transcripts?: readonly TranscriptHead[] | undefined;
}

/** The key of a transcript in a session store. */
export interface StoredKey {
  readonly projectKey: string;
  readonly sessionId: string;
}

/** What a session's conversations left outside the journal, and where. */
export class Belongings {
  /** The ids of all its conversations, the current one last. */
  readonly conversations: readonly string[];
  /**
   * Where its processes kept transcripts on this machine. Without the current options' location if the application
   * spawns processes itself, which may run elsewhere.
   */
  readonly locations: readonly TranscriptLocation[];
  readonly store: TranscriptsInStore | undefined;
  /** Whether the application spawns the processes itself, perhaps on another machine. */
  readonly elsewhere: boolean;
  /** The transcripts in the journal, with those of subagents. */
  readonly journaled: readonly TranscriptHead[];
  /** Whether the journal mentions transcripts in a session store. */
  readonly stored: boolean;
  readonly #projects: ReadonlySet<string>;
  readonly #temporary: readonly string[];

  readonly #ownDirectory: OwnDirectory | undefined;

  private constructor(
    {
      conversations,
      locations,
      store,
      elsewhere,
      journaled,
    }: Pick<Belongings, "conversations" | "locations" | "store" | "elsewhere" | "journaled">,
    projects: ReadonlySet<string>,
    temporary: readonly string[],
    ownDirectory: OwnDirectory | undefined,
  ) {
    this.#ownDirectory = ownDirectory;
    this.conversations = conversations;
    this.locations = locations;
    this.store = store;
    this.elsewhere = elsewhere;
    this.journaled = journaled;
    this.stored = projects.size > 0;
    this.#projects = projects;
    this.#temporary = temporary;
  }

  static async of(
    { entry, left, transcripts = [] }: KnownConversations,
    { sdk, environment, ownDirectory }: BelongingsSource,
  ): Promise<Belongings> {
    const whereabouts = [...left, ...(entry === undefined ? [] : [entry])].map(({ conversationId, memory }) => ({
      id: conversationId,
      ...readWhere(memory),
    }));
    const elsewhere = sdk.spawnClaudeCodeProcess !== undefined;
    const present = elsewhere ? [] : [await transcriptLocationOf(sdk.cwd ?? process.cwd(), environment)];
    const locations = [...whereabouts.flatMap(({ place }) => place ?? []), ...present];
    // Of a repeated id, the last occurrence counts.
    const ids = [
      ...transcripts.map(({ conversationId }) => conversationId),
      ...whereabouts.map(({ id }) => id),
    ].toReversed();
    return new Belongings(
      {
        conversations: [...new Set(ids)].toReversed(),
        locations: [
          ...new Map(locations.map((location) => [JSON.stringify([location.config, location.cwd]), location])).values(),
        ],
        store: sdk.sessionStore,
        elsewhere,
        journaled: transcripts,
      },
      new Set(whereabouts.flatMap(({ projectKey }) => projectKey ?? [])),
      [environment["CLAUDE_CODE_TMPDIR"], environment["TMPDIR"]].filter((folder) => folder !== undefined),
      ownDirectory,
    );
  }

  /** The Claude configuration directories that may hold their files. */
  get configs(): readonly string[] {
    return [...new Set(this.locations.map(({ config }) => config))];
  }

  /** Returns the files of these conversations on this machine. */
  async files(conversations: readonly string[]): Promise<ConversationPath[]> {
    return await conversationFiles({ ids: conversations, configs: this.configs, temporary: this.#temporary });
  }

  /** Returns the non-empty folders with Claude's memory of the session's working directories. */
  async memories(): Promise<string[]> {
    const folders = await Promise.all(
      this.locations.map(async (location) => join(await transcriptFolderOf(location), "memory")),
    );
    const filled = await Promise.all(
      folders.map(async (folder) => ((await filesAt(folder)).length > 0 ? [folder] : [])),
    );
    return [...new Set(filled.flat())];
  }

  /** Returns the non-empty files and folders of Claude's memory and schedules in the session's own directory. */
  async ownMemories(): Promise<string[]> {
    const paths = this.#ownDirectory === undefined ? [] : await keptInOwnDirectory(this.#ownDirectory);
    const filled = await Promise.all(paths.map(async (path) => ((await filesAt(path)).length > 0 ? [path] : [])));
    return filled.flat();
  }

  /** Returns the keys of these conversations' transcripts in the session store. */
  storedKeys(conversations: readonly string[]): StoredKey[] {
    return [...this.#projects].flatMap((projectKey) => conversations.map((sessionId) => ({ projectKey, sessionId })));
  }
}

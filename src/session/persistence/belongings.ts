import { join } from "node:path";
import type { Options as SdkOptions, SessionStore } from "@anthropic-ai/claude-agent-sdk";
import { type ConversationPath, conversationFiles, filesAt } from "../../claude/conversation-files.ts";
import { keptInOwnDirectory, type OwnDirectory } from "../../claude/own-directory.ts";
import { type TranscriptPlace, transcriptFolderOf, transcriptPlaceOf } from "../../claude/transcript-place.ts";
import type { ConversationEntry } from "../../journal/model/conversation-entry.ts";
import type { SessionEntry } from "../../journal/model/session-entry.ts";
import { readWhere } from "../conversation/session-memory.ts";

/** With what processes of a session are started, as far as that says where they leave something. */
export interface BelongingsSource {
  /** The working directory that the session has for itself, if it has one. */
  readonly ownDirectory?: OwnDirectory | undefined;
  readonly sdk: Pick<SdkOptions, "cwd" | "sessionStore" | "spawnClaudeCodeProcess">;
  readonly environment: Readonly<Record<string, string>>;
}

/** What is known of a session: itself, and the conversations that it has left. */
export interface KnownConversations {
  readonly entry: SessionEntry | undefined;
  readonly left: readonly ConversationEntry[];
}

/** Under what a session store has a transcript. */
export interface StoredKey {
  readonly projectKey: string;
  readonly sessionId: string;
}

/** What the conversations of a session have left outside of the journal, and where. */
export class Belongings {
  /** Ids of all conversations that it has had, the present one last. */
  readonly conversations: readonly string[];
  /** Where its processes have been; none if the application starts them itself, maybe elsewhere. */
  readonly places: readonly TranscriptPlace[];
  readonly store: SessionStore | undefined;
  /** Whether the application starts its processes itself, maybe on another machine. */
  readonly elsewhere: boolean;
  /** Whether the journal tells of transcripts in a session store. */
  readonly stored: boolean;
  readonly #projects: ReadonlySet<string>;
  readonly #temporary: readonly string[];

  readonly #ownDirectory: OwnDirectory | undefined;

  private constructor(
    { conversations, places, store, elsewhere }: Pick<Belongings, "conversations" | "places" | "store" | "elsewhere">,
    projects: ReadonlySet<string>,
    temporary: readonly string[],
    ownDirectory: OwnDirectory | undefined,
  ) {
    this.#ownDirectory = ownDirectory;
    this.conversations = conversations;
    this.places = places;
    this.store = store;
    this.elsewhere = elsewhere;
    this.stored = projects.size > 0;
    this.#projects = projects;
    this.#temporary = temporary;
  }

  static async of(
    { entry, left }: KnownConversations,
    { sdk, environment, ownDirectory }: BelongingsSource,
  ): Promise<Belongings> {
    const whereabouts = [...left, ...(entry === undefined ? [] : [entry])].map(({ conversationId, memory }) => ({
      id: conversationId,
      ...readWhere(memory),
    }));
    const elsewhere = sdk.spawnClaudeCodeProcess !== undefined;
    const present = elsewhere ? [] : [await transcriptPlaceOf(sdk.cwd ?? process.cwd(), environment)];
    const places = [...whereabouts.flatMap(({ place }) => place ?? []), ...present];
    // What was said last of a conversation is where it is.
    const ids = whereabouts.map(({ id }) => id).toReversed();
    return new Belongings(
      {
        conversations: [...new Set(ids)].toReversed(),
        places: [...new Map(places.map((place) => [JSON.stringify([place.config, place.cwd]), place])).values()],
        store: sdk.sessionStore,
        elsewhere,
      },
      new Set(whereabouts.flatMap(({ projectKey }) => projectKey ?? [])),
      [environment["CLAUDE_CODE_TMPDIR"], environment["TMPDIR"]].filter((folder) => folder !== undefined),
      ownDirectory,
    );
  }

  /** Claude Code's own directories that they may have something in. */
  get configs(): readonly string[] {
    return [...new Set(this.places.map(({ config }) => config))];
  }

  /** The files of these conversations on this machine. */
  async files(conversations: readonly string[]): Promise<ConversationPath[]> {
    return await conversationFiles({ ids: conversations, configs: this.configs, temporary: this.#temporary });
  }

  /** The folders in which Claude Code keeps what it remembers of the working directories, those that have anything in them. */
  async memories(): Promise<string[]> {
    const folders = await Promise.all(
      this.places.map(async (place) => join(await transcriptFolderOf(place), "memory")),
    );
    const filled = await Promise.all(
      folders.map(async (folder) => ((await filesAt(folder)).length > 0 ? [folder] : [])),
    );
    return [...new Set(filled.flat())];
  }

  /** The files and folders of what Claude remembers, and has scheduled, in the directory that is the session's alone. */
  async ownMemories(): Promise<string[]> {
    const paths = this.#ownDirectory === undefined ? [] : await keptInOwnDirectory(this.#ownDirectory);
    const filled = await Promise.all(paths.map(async (path) => ((await filesAt(path)).length > 0 ? [path] : [])));
    return filled.flat();
  }

  /** Where the transcripts of these conversations are in the session store, if they are in one. */
  storedKeys(conversations: readonly string[]): StoredKey[] {
    return [...this.#projects].flatMap((projectKey) => conversations.map((sessionId) => ({ projectKey, sessionId })));
  }
}

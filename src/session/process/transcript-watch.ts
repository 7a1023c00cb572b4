import { statfs } from "node:fs/promises";
import { dirname } from "node:path";
import { transcriptAt, transcriptLocationOf } from "../../claude/transcript-location.ts";
import { transcriptHas } from "../../claude/transcript-search.ts";
import type { TranscriptSource } from "../../claude/transcripts.ts";
import { type Clock, pause } from "../../clock.ts";

/** When to look for a message in the transcript, in milliseconds after the process sent it. */
const SEARCH_AFTER_MS = [0, 100, 400, 1_500] as const;

/** How often to check during a turn. */
const EVERY_MS = 10_000;

/** A search for a message in the transcript of the conversation that the process was in when it sent the message. */
interface Search {
  readonly uuid: string;
  readonly conversationId: string;
}

/** What the watch asks of its session. */
export interface WatchedSession {
  /** The location of the process's transcripts; `undefined` if there is no process, or it keeps them elsewhere. */
  source(): TranscriptSource | undefined;
  conversationId(): string;
  /** Reports that a message is missing from the transcript. `why` is the reason, if known. */
  lost(why: string | undefined): void;
}

/**
 * Checks that a process's output reaches its transcript. Claude Code reports failed writes only at an orderly end, and
 * after a crash the conversation would lack the output.
 */
export class TranscriptWatch {
  readonly #clock: Clock;
  readonly #session: WatchedSession;
  /** The pending search. Until it ends, other messages of the same conversation are skipped. */
  #search: Search | undefined;
  #searchedAt = Number.NEGATIVE_INFINITY;
  /** Whether the last check failed. Only the first failure in a row is reported. */
  #lost = false;
  #file: string | undefined;
  /** The conversation of the last search. */
  #conversationId: string | undefined;

  constructor(clock: Clock, session: WatchedSession) {
    this.#clock = clock;
    this.#session = session;
  }

  /** Takes a message of a running turn. */
  said(uuid: string): void {
    if (this.#clock.monotonic() - this.#searchedAt >= EVERY_MS) void this.#check(uuid);
  }

  /** Takes the last message of a finished turn. Resolves once it was found, reported or skipped. */
  async ended(uuid: string): Promise<void> {
    await this.#check(uuid);
  }

  /** Stops looking, because the process is gone. */
  stop(): void {
    this.#search = undefined;
    this.#file = undefined;
    this.#lost = false;
  }

  async #check(uuid: string): Promise<void> {
    const search = { uuid, conversationId: this.#session.conversationId() };
    if (this.#search?.conversationId === search.conversationId) return;
    if (this.#conversationId !== search.conversationId) this.stop();
    this.#conversationId = search.conversationId;
    this.#search = search;
    this.#searchedAt = this.#clock.monotonic();
    const lost = await this.#isLost(search);
    const why = lost ? await this.#why() : undefined;
    if (!this.#isPending(search)) return;
    this.#search = undefined;
    const before = this.#lost;
    this.#lost = lost;
    if (lost && !before) this.#session.lost(why);
  }

  /**
   * Whether the result of a search still matters. After `/clear` the process writes to another transcript, which never
   * receives the message.
   */
  #isPending(search: Search): boolean {
    return this.#search === search && this.#session.conversationId() === search.conversationId;
  }

  async #isLost(search: Search): Promise<boolean> {
    for (const ms of SEARCH_AFTER_MS) {
      if (ms > 0) await pause(this.#clock, ms, { background: true });
      if (!this.#isPending(search) || (await this.#isWritten(search)) !== false) return false;
    }
    return true;
  }

  /** Whether the transcript has the message; `undefined` if it cannot be read. */
  async #isWritten({ uuid, conversationId }: Search): Promise<boolean | undefined> {
    const source = this.#session.source();
    if (source === undefined) return undefined;
    try {
      if (this.#file !== undefined && (await transcriptHas(this.#file, [uuid]))) return true;
      // Claude Code moves the transcript when it changes its working directory.
      const location = await transcriptLocationOf(source.sdk.cwd ?? process.cwd(), source.environment);
      this.#file = await transcriptAt(conversationId, location);
      return this.#file !== undefined && (await transcriptHas(this.#file, [uuid]));
    } catch {
      this.#file = undefined;
      return undefined;
    }
  }

  async #why(): Promise<string | undefined> {
    const free = await statfs(dirname(this.#file ?? "/")).catch(() => undefined);
    return this.#file !== undefined && free?.bavail === 0 ? "the disk is full" : undefined;
  }
}

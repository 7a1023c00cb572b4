import { statfs } from "node:fs/promises";
import { dirname } from "node:path";
import { transcriptAt, transcriptPlaceOf } from "../../claude/transcript-place.ts";
import { transcriptHas } from "../../claude/transcript-search.ts";
import type { TranscriptSource } from "../../claude/transcripts.ts";
import { type Clock, pause } from "../../clock.ts";

/** How long a message may take to stand in the transcript: it is looked for at these times after it was told, in milliseconds. */
const LOOKS_MS = [0, 100, 400, 1_500] as const;

/** How often it is looked at in a turn that goes on. */
const EVERY_MS = 10_000;

/** What the watch asks of its session. */
export interface WatchedSession {
  /** Where the process keeps its transcripts; `undefined` if that is not on this machine, or there is no process. */
  source(): TranscriptSource | undefined;
  conversationId(): string;
  /** A message does not stand in the transcript. `why` says more, if that is known. */
  lost(why: string | undefined): void;
}

/**
 * Sees that what a process has told stands in its transcript. Claude Code itself says only at an orderly end that it could not write,
 * and after a crash it would not remember.
 */
export class TranscriptWatch {
  readonly #clock: Clock;
  readonly #session: WatchedSession;
  /** The message that is looked for. Those that come meanwhile are not. */
  #wanted: string | undefined;
  #lookedAt = Number.NEGATIVE_INFINITY;
  /** Whether the last message that was looked for was not there, which is told once. */
  #lost = false;
  #file: string | undefined;

  constructor(clock: Clock, session: WatchedSession) {
    this.#clock = clock;
    this.#session = session;
  }

  /** A message of a turn that goes on. */
  said(uuid: string): void {
    if (this.#clock.monotonic() - this.#lookedAt >= EVERY_MS) void this.#lookFor(uuid);
  }

  /** The last message of a turn that has come to its end. */
  ended(uuid: string): void {
    void this.#lookFor(uuid);
  }

  /** The process is gone, and with it what it has not written. */
  stop(): void {
    this.#wanted = undefined;
    this.#file = undefined;
    this.#lost = false;
  }

  async #lookFor(uuid: string): Promise<void> {
    if (this.#wanted !== undefined) return;
    this.#wanted = uuid;
    this.#lookedAt = this.#clock.monotonic();
    const lost = await this.#isLost(uuid);
    // It may have been stopped meanwhile.
    if (this.#wanted !== uuid) return;
    this.#wanted = undefined;
    const before = this.#lost;
    this.#lost = lost;
    if (lost && !before) this.#session.lost(await this.#why());
  }

  async #isLost(uuid: string): Promise<boolean> {
    for (const ms of LOOKS_MS) {
      if (ms > 0) await pause(this.#clock, ms, { background: true });
      if (this.#wanted !== uuid || (await this.#isWritten(uuid)) !== false) return false;
    }
    return true;
  }

  /** `undefined` if that cannot be told. */
  async #isWritten(uuid: string): Promise<boolean | undefined> {
    const source = this.#session.source();
    if (source === undefined) return undefined;
    try {
      if (this.#file !== undefined && (await transcriptHas(this.#file, [uuid]))) return true;
      // Claude Code takes it along when it goes to another directory.
      const place = await transcriptPlaceOf(source.sdk.cwd ?? process.cwd(), source.environment);
      this.#file = await transcriptAt(this.#session.conversationId(), place);
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

import { isDeepStrictEqual } from "node:util";
import type { PermissionMode } from "@anthropic-ai/claude-agent-sdk";
import { bringTranscript } from "../../claude/bring-transcript.ts";
import type { Totals } from "../../claude/messages/cost.ts";
import type { Wakeup } from "../../claude/messages/wakeups.ts";
import type { ReportedMode } from "../../claude/permission-mode.ts";
import type { StoreKey } from "../../claude/steady-store.ts";
import { type TranscriptLocation, transcriptLocationOf } from "../../claude/transcript-location.ts";
import { isWrittenHere } from "../../claude/transcript-mirror.ts";
import type { TranscriptSource } from "../../claude/transcripts.ts";
import type { SessionEntry } from "../../journal/model/session-entry.ts";
import {
  type Conversation,
  type ConversationEvent,
  firstConversation,
  isBroken,
  mayBeUnwritten,
  nextConversation,
} from "../conversation/conversation.ts";
import { conversationClaims } from "../conversation/conversation-claims.ts";
import { type Granted, type GrantedEvent, isNothing, NOTHING_GRANTED, nextGranted } from "../conversation/granted.ts";
import {
  type LeftConversation,
  originOf,
  readMemory,
  readWhere,
  resumesConversation,
  type SessionMemory,
} from "../conversation/session-memory.ts";
import { invalidOptions } from "../options/validation.ts";
import type { SessionContext } from "./session-context.ts";
import type { Signal } from "./session-signal.ts";

const NO_WAKEUPS: readonly Wakeup[] = [];

/**
 * The conversation of a session. No other session of this process uses it. The journal records every change, so the
 * session resumes it after a restart of the application.
 */
export class SessionConversation {
  readonly #context: SessionContext;
  readonly #signal: Signal;
  #now: Conversation;
  /** The running totals of the last result; a resumed process continues from them. */
  totals: Totals = {};
  /** The turns that Claude has scheduled for itself; they live in the process. */
  wakeups: readonly Wakeup[] = NO_WAKEUPS;
  #location: TranscriptLocation | undefined;
  #projectKey: string | undefined;
  #granted: Granted = NOTHING_GRANTED;
  /** Whether to clear the conversation once no process uses it. */
  #clearing = false;
  /** The permission mode that the process last reported. */
  #mode: PermissionMode | undefined;

  constructor(context: SessionContext, signal: Signal) {
    this.#context = context;
    this.#signal = signal;
    this.#now = firstConversation(context.settings.sdk, context.newId);
  }

  get now(): Conversation {
    return this.#now;
  }

  /** Permissions granted in this conversation, beyond the options. */
  get granted(): Granted {
    return this.#granted;
  }

  /** The permission mode of the process, or of the next one. `undefined` if Claude Code chooses it. */
  get permissionMode(): PermissionMode | undefined {
    return this.#mode ?? this.#granted.mode?.now ?? this.#context.settings.sdk.permissionMode;
  }

  /** Claims the conversation for this session. @throws CastellanError `INVALID_OPTIONS` if another session uses it */
  claim(): void {
    const { id } = this.#now;
    const { key, sdk } = this.#context.settings;
    const holder = conversationClaims.claim(id, key);
    if (holder === undefined) return;
    const message = `is already in use by session ${holder}; only one session at a time can use it`;
    const field = sdk.resume === id ? "resume" : sdk.sessionId === id ? "sessionId" : "name";
    const what = field === "name" ? `its conversation ${id} ${message}` : message;
    throw invalidOptions(this.#context.who, [{ field, message: what }]);
  }

  /** Releases the claim. */
  unclaim(): void {
    conversationClaims.release(this.#now.id, this.#context.settings.key);
  }

  /**
   * Restores the conversation from the journal. Starts the options' conversation instead if they name a different one
   * than before, or if the session forks from `source`. Returns whether it restored one.
   *
   * @throws CastellanError `JOURNAL_UNAVAILABLE`, `INVALID_OPTIONS` if another session uses the conversation
   */
  restore(entry: SessionEntry | undefined, source: SessionConversation | undefined): boolean {
    const memory =
      entry === undefined || source !== undefined ? undefined : readMemory(entry.memory, this.#context.who);
    const resumes = memory !== undefined && resumesConversation(memory, this.#context.settings.sdk);
    if (resumes) {
      this.unclaim();
      this.#now = memory.conversation;
      this.totals = memory.totals;
      this.wakeups = memory.wakeups ?? NO_WAKEUPS;
      this.#location = memory.place;
      this.#projectKey = memory.projectKey;
      this.#granted = memory.granted ?? NOTHING_GRANTED;
    }
    if (source !== undefined) {
      this.#location = source.#location;
      this.#projectKey = source.#projectKey;
    }
    this.claim();
    if (entry !== undefined && !resumes) this.#save({ id: entry.conversationId, ...readWhere(entry.memory) });
    // After a restart of the application, the options of a fork no longer name its source.
    else if (source !== undefined && this.#now.kind === "fork") this.#save();
    this.grant({ type: "configured", option: this.#context.settings.sdk.permissionMode });
    return resumes;
  }

  /**
   * Makes the transcript available to a process with these options and this environment, if Claude Code keeps it on
   * this machine: moves it from where an earlier process left it, or restores it from the journal. No process may use
   * the conversation. Resolves with the reason if it cannot.
   *
   * @throws CastellanError `JOURNAL_UNAVAILABLE`; Error of the file system
   */
  async bringTranscriptTo({ sdk, environment }: TranscriptSource): Promise<string | undefined> {
    await this.#takeIn();
    if (!isWrittenHere(sdk)) return undefined;
    const location = await transcriptLocationOf(sdk.cwd ?? process.cwd(), environment);
    const before = this.#location;
    const moves = before !== undefined && !isDeepStrictEqual(before, location);
    const problem = await this.#bringTo(location, moves ? before : undefined);
    if (problem !== undefined || (before !== undefined && !moves)) return problem;
    this.#location = location;
    if (moves) this.#save(this.#mayHaveFiles ? { ...this.#where, place: before } : undefined);
    return undefined;
  }

  /** Takes the transcript in from where an earlier release kept it. */
  async #takeIn(): Promise<void> {
    const projectKey = this.#projectKey;
    if (projectKey === undefined) return;
    if (!(await this.#context.journal.transcripts.takeIn(this.#now.id, projectKey))) return;
    this.#projectKey = undefined;
    this.save();
  }

  async #bringTo(location: TranscriptLocation, before: TranscriptLocation | undefined): Promise<string | undefined> {
    if (this.#now.kind === "new") return undefined;
    const { transcripts } = this.#context.journal;
    const isFork = this.#now.kind === "fork";
    const id = this.#now.kind === "fork" ? this.#now.fork.from : this.#now.id;
    if (before !== undefined) {
      const brought = await bringTranscript(id, before, location);
      // The journal decides which of them is right.
      if (brought === "diverged" && !(await transcripts.has(id))) {
        return `there are two transcripts of its conversation ${id}, in ${before.config} and in ${location.config}, and each has entries that the other lacks; remove one of them`;
      }
    }
    await transcripts.settle(id, { from: before, to: location, adopts: !isFork });
    return undefined;
  }

  /** The project key of the transcripts in a session store, kept with the conversation. */
  get storeKey(): StoreKey {
    return {
      get: () => this.#projectKey,
      learned: (projectKey) => {
        this.#projectKey = projectKey;
        this.save();
      },
    };
  }

  take(event: ConversationEvent): void {
    const before = this.#now;
    const after = nextConversation(before, event);
    if (after === before || (after.id !== before.id && !this.#move(before.id, after.id))) return;
    const left = after.id !== before.id && this.#mayHaveFiles ? this.#where : undefined;
    this.#now = after;
    if (event.type === "turn_kept" && event.lastUuid !== undefined)
      this.#signal({ type: "turn_kept", lastUuid: event.lastUuid });
    if (event.type === "behind" && !mayBeUnwritten(before))
      this.#signal({ type: "conversation_behind", broken: isBroken(before) });
    if (after.id !== before.id) {
      const change = event.type === "copied" || after.kind === "fork" ? "copied" : "cleared";
      this.#signal({ type: "conversation_moved", id: after.id, change });
    }
    this.#save(left);
  }

  /** Applies a change of what is granted. */
  grant(event: GrantedEvent): void {
    const before = this.#granted;
    this.#granted = nextGranted(before, event);
    if (this.#granted !== before) this.save();
  }

  /** Begins an empty conversation without any grants. */
  clear(): void {
    this.#granted = NOTHING_GRANTED;
    this.#mode = undefined;
    this.take({ type: "forgotten", freshId: this.#context.newId() });
  }

  /** Clears the conversation once no process uses it. Returns a function: whether that has yet to happen. */
  clearNext(): () => boolean {
    this.#clearing = true;
    return () => this.#clearing;
  }

  /** Clears the conversation if that is due; no process may use it. */
  clearIfDue(): void {
    if (this.#clearing) this.clear();
    this.#clearing = false;
  }

  /** Whether a clear is due. */
  get clearing(): boolean {
    return this.#clearing;
  }

  /** Forgets the mode that the last process reported, because a new process begins or the options change the mode. */
  forgetMode(): void {
    this.#mode = undefined;
  }

  /** Records the permission mode that the process reports. */
  reportMode({ now, changed }: ReportedMode): void {
    const option = this.#context.settings.sdk.permissionMode;
    const before = this.#mode ?? this.#granted.mode?.now;
    this.#mode = now;
    // The mode that a process starts in by its own choice is not a grant.
    if (before === undefined && !changed) return;
    if (before !== now) this.grant({ type: "mode", now, from: before ?? option, option });
  }

  /**
   * Resolves once the journal has the current state, after five seconds at the latest.
   *
   * @throws CastellanError `NOT_OWNER`
   */
  async written(): Promise<void> {
    await this.#context.journal.settled();
  }

  /** Writes the current state to the journal, without waiting. */
  save(): void {
    this.#save();
  }

  /** Resolves once the journal has the current state. @throws CastellanError `JOURNAL_UNAVAILABLE`, `NOT_OWNER` */
  async saveNow(): Promise<void> {
    await this.#context.journal.saveNow(this.#memory);
  }

  /** Whether Claude Code may have written files for the conversation. */
  get #mayHaveFiles(): boolean {
    return this.#now.kind === "kept";
  }

  get #where(): LeftConversation {
    return { id: this.#now.id, place: this.#location, projectKey: this.#projectKey };
  }

  /** Writes the current state, and the conversation that was left for it, if any. */
  #save(left?: LeftConversation): void {
    this.#context.journal.save(this.#memory, left);
    if (left !== undefined) this.#signal({ type: "conversation_left" });
  }

  get #memory(): SessionMemory {
    const origin = originOf(this.#context.settings.sdk);
    const granted = isNothing(this.#granted) ? undefined : this.#granted;
    const where = { place: this.#location, projectKey: this.#projectKey };
    const wakeups = this.wakeups.length === 0 ? undefined : this.wakeups;
    return { conversation: this.#now, origin, totals: this.totals, ...where, wakeups, granted };
  }

  /** Moves the claim from one conversation to another. Returns whether that succeeded. */
  #move(from: string, to: string): boolean {
    const { key } = this.#context.settings;
    const holder = conversationClaims.claim(to, key);
    if (holder === undefined) conversationClaims.release(from, key);
    else
      this.#signal({
        type: "conversation_conflict",
        message: `Claude Code switched to the conversation ${to}, which belongs to session ${holder}`,
      });
    return holder === undefined;
  }
}

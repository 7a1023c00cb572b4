import { isDeepStrictEqual } from "node:util";
import type { PermissionMode } from "@anthropic-ai/claude-agent-sdk";
import { bringTranscript } from "../../claude/bring-transcript.ts";
import type { Totals } from "../../claude/messages/cost.ts";
import type { Wakeup } from "../../claude/messages/wakeups.ts";
import type { ReportedMode } from "../../claude/permission-mode.ts";
import type { StoreKey } from "../../claude/steady-store.ts";
import type { TranscriptPlace } from "../../claude/transcript-place.ts";
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
  goesOn,
  type LeftConversation,
  originOf,
  readMemory,
  readWhere,
  type SessionMemory,
} from "../conversation/session-memory.ts";
import { invalidOptions } from "../options/validation.ts";
import type { SessionContext } from "./session-context.ts";
import type { Signal } from "./session-signal.ts";

/**
 * The conversation of a session: no other session of this process has it, and the journal knows of every change, so that the
 * session goes on with it after a restart of the application.
 */
export class SessionConversation {
  readonly #context: SessionContext;
  readonly #signal: Signal;
  #now: Conversation;
  /** The running totals of the last result; a process that is resumed goes on from them. */
  totals: Totals = {};
  /** The turns that Claude has scheduled for itself, which its process keeps. */
  wakeups: readonly Wakeup[] = [];
  #place: TranscriptPlace | undefined;
  #projectKey: string | undefined;
  #granted: Granted = NOTHING_GRANTED;
  /** Whether it is to be cleared as soon as no process is in it. */
  #clearing = false;
  /** The mode in which the process has said that it is. */
  #mode: PermissionMode | undefined;

  constructor(context: SessionContext, signal: Signal) {
    this.#context = context;
    this.#signal = signal;
    this.#now = firstConversation(context.settings.sdk, context.newId);
  }

  get now(): Conversation {
    return this.#now;
  }

  /** What the session may do besides what its options say. */
  get granted(): Granted {
    return this.#granted;
  }

  /** The mode that its process is in, or that the next one is to be in. `undefined` if that is for Claude Code to choose. */
  get permissionMode(): PermissionMode | undefined {
    return this.#mode ?? this.#granted.mode?.now ?? this.#context.settings.sdk.permissionMode;
  }

  /** Makes the conversation this session's, and no other's. @throws CastellanError `INVALID_OPTIONS` */
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

  /** The session is held by nobody any more. */
  unclaim(): void {
    conversationClaims.release(this.#now.id, this.#context.settings.key);
  }

  /**
   * Goes on with the conversation that the journal knows of, unless the options name another one, or it begins with what
   * `source` remembers. Whether it goes on.
   *
   * @throws CastellanError `JOURNAL_UNAVAILABLE`, `INVALID_OPTIONS` if another session has the conversation
   */
  restore(entry: SessionEntry | undefined, source: SessionConversation | undefined): boolean {
    const memory =
      entry === undefined || source !== undefined ? undefined : readMemory(entry.memory, this.#context.who);
    const goes = memory !== undefined && goesOn(memory, this.#context.settings.sdk);
    if (goes) {
      this.unclaim();
      this.#now = memory.conversation;
      this.totals = memory.totals;
      this.wakeups = memory.wakeups ?? [];
      this.#place = memory.place;
      this.#projectKey = memory.projectKey;
      this.#granted = memory.granted ?? NOTHING_GRANTED;
    }
    if (source !== undefined) {
      this.#place = source.#place;
      this.#projectKey = source.#projectKey;
    }
    this.claim();
    if (entry !== undefined && !goes) this.#save({ id: entry.conversationId, ...readWhere(entry.memory) });
    this.grant({ type: "configured", option: this.#context.settings.sdk.permissionMode });
    return goes;
  }

  /**
   * Sees to it that the next process, which looks for its transcript at `place`, finds it there, wherever the one before was.
   * Resolves with what stands in the way, if anything does.
   *
   * @throws Error of the file system
   */
  async comeTo(place: TranscriptPlace): Promise<string | undefined> {
    const before = this.#place;
    if (before !== undefined && isDeepStrictEqual(before, place)) return undefined;
    if (before !== undefined && this.#now.kind !== "new") {
      const id = this.#now.kind === "fork" ? this.#now.fork.from : this.#now.id;
      if ((await bringTranscript(id, before, place)) === "diverged") {
        return `there are two transcripts of its conversation ${id}, in ${before.config} and in ${place.config}, and each has something that the other lacks; take one of them away`;
      }
    }
    this.#place = place;
    if (before !== undefined) this.#save(this.#mayHaveFiles ? { ...this.#where, place: before } : undefined);
    return undefined;
  }

  /** Under which key the transcripts are in a session store; kept with the conversation. */
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
    if (after.id !== before.id)
      this.#signal({ type: "conversation_moved", id: after.id, same: event.type === "copied" });
    this.#save(left);
  }

  /** Something is granted to the session, or no longer. */
  grant(event: GrantedEvent): void {
    const before = this.#granted;
    this.#granted = nextGranted(before, event);
    if (this.#granted !== before) this.save();
  }

  /** Begins an empty conversation, for which nothing is granted. */
  clear(): void {
    this.#granted = NOTHING_GRANTED;
    this.#mode = undefined;
    this.take({ type: "forgotten", freshId: this.#context.newId() });
  }

  /** Clears it as soon as no process is in it. */
  clearNext(): void {
    this.#clearing = true;
  }

  /** No process is in it: clears it, if that is to be done. */
  clearIfDue(): void {
    if (this.#clearing) this.clear();
    this.#clearing = false;
  }

  /** Whether it is to be cleared. */
  get clearing(): boolean {
    return this.#clearing;
  }

  /** A process begins, or the mode is to be another one by the options: what the last one has said of it no longer counts. */
  forgetMode(): void {
    this.#mode = undefined;
  }

  /** The process reports its permission mode. */
  reportMode({ now, changed }: ReportedMode): void {
    const option = this.#context.settings.sdk.permissionMode;
    const before = this.#mode ?? this.#granted.mode?.now;
    this.#mode = now;
    // What a process chooses by itself when it begins is nothing that was granted.
    if (before === undefined && !changed) return;
    if (before !== now) this.grant({ type: "mode", now, from: before ?? option, option });
  }

  /** Resolves when the journal knows it as it is, which is waited for for five seconds. @throws CastellanError `NOT_OWNER` */
  async written(): Promise<void> {
    await this.#context.journal.settled();
  }

  /** Has the journal know the conversation as it is now. */
  save(): void {
    this.#save();
  }

  /** Resolves when the journal knows it. @throws CastellanError `JOURNAL_UNAVAILABLE`, `NOT_OWNER` */
  async saveNow(): Promise<void> {
    await this.#context.journal.saveNow(this.#memory);
  }

  /** Whether anything may have been said in it, so that Claude Code may have written something. */
  get #mayHaveFiles(): boolean {
    return this.#now.kind === "kept";
  }

  get #where(): LeftConversation {
    return { id: this.#now.id, place: this.#place, projectKey: this.#projectKey };
  }

  /** Has the journal know the conversation as it is now, and the one that was left for it, if there is one. */
  #save(left?: LeftConversation): void {
    this.#context.journal.save(this.#memory, left);
    if (left !== undefined) this.#signal({ type: "conversation_left" });
  }

  get #memory(): SessionMemory {
    const origin = originOf(this.#context.settings.sdk);
    const granted = isNothing(this.#granted) ? undefined : this.#granted;
    const place = { place: this.#place, projectKey: this.#projectKey };
    const wakeups = this.wakeups.length === 0 ? undefined : this.wakeups;
    return { conversation: this.#now, origin, totals: this.totals, ...place, wakeups, granted };
  }

  /** Whether the session may go from one conversation to the other. */
  #move(from: string, to: string): boolean {
    const { key } = this.#context.settings;
    const holder = conversationClaims.claim(to, key);
    if (holder === undefined) conversationClaims.release(from, key);
    else
      this.#signal({
        type: "conversation_conflict",
        message: `Claude Code went on in the conversation ${to}, which is that of session ${holder}`,
      });
    return holder === undefined;
  }
}

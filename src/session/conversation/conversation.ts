import type { Options as SdkOptions } from "@anthropic-ai/claude-agent-sdk";
import type { ConversationStart } from "../../claude/conversation-start.ts";
import { withoutUndefined } from "../../fields.ts";

/** What a session knows of its conversation between two activations. Conversation and message ids are UUIDs. */
export type Conversation =
  /** Claude Code may not know it yet; nothing would be lost with it. */
  | { readonly kind: "new"; readonly id: string }
  /** The next start forks it from `fork.from`. */
  | { readonly kind: "fork"; readonly id: string; readonly fork: ForkSource }
  /** It may have a transcript. */
  | {
      readonly kind: "kept";
      readonly id: string;
      /** Whether it has no content that anybody would miss. */
      readonly empty: boolean;
      /** The last message to keep, as far as known. */
      readonly lastUuid?: string | undefined;
      /**
       * Where to cut back to if Claude Code does not find `lastUuid`: the last message before an interrupted turn,
       * whose own messages may never have been written, or the summary of a compaction, which replaced the earlier
       * messages.
       */
      readonly before?: string | undefined;
      /** Whether a resume omits what came after `lastUuid`. Claude Code forgets that only when a turn follows. */
      readonly cut: boolean;
      /** Whether a compaction replaced the messages up to `lastUuid` with a summary, so that they have to be copied. */
      readonly summarised?: boolean;
      /** Whether the API rejects the content up to `lastUuid`, so that it has to be cut back further. */
      readonly suspect?: boolean;
      /** Whether its transcript lacks something from before `lastUuid`, where the next process would stop reading. */
      readonly broken?: boolean;
      /** Its fork source, until a turn has ended in it. */
      readonly fork?: ForkSource;
      /**
       * What it started from, if all its turns were interrupted and no process has resumed it yet. Claude Code writes
       * shortly after it speaks, so there may never have been a transcript.
       */
      readonly unwritten?: ForkSource | "nothing";
    };

/** Another conversation, optionally up to the message `at`. */
export interface ForkSource {
  readonly from: string;
  readonly at?: string | undefined;
}

export type ConversationEvent =
  /** The process received a prompt. */
  | { readonly type: "prompted" }
  /** A turn ended; `lastUuid` is its last message. */
  | { readonly type: "turn_kept"; readonly lastUuid: string | undefined }
  /** A turn was interrupted by the end of its process after it had shown output; `lastUuid` is its last message. */
  | { readonly type: "turn_cut"; readonly lastUuid: string | undefined }
  /**
   * A turn was undone; `freshId` is used if nothing else was said. `summary` is that of a compaction in it. `suspect`
   * tells that earlier content, not the turn, caused the API's rejection.
   */
  | {
      readonly type: "turn_undone";
      readonly freshId: string;
      readonly summary?: string | undefined;
      readonly suspect?: boolean;
    }
  /**
   * The transcript of a suspect conversation was read; `lastUuid` is the last message of the last successful turn, if
   * any.
   */
  | { readonly type: "looked_back"; readonly lastUuid: string | undefined }
  /** The content before a compaction was copied to another conversation; without an id it could not be. */
  | { readonly type: "copied"; readonly id: string | undefined }
  /** Claude Code switched to another conversation, as after `/clear`. */
  | { readonly type: "moved"; readonly id: string }
  /** Claude Code already has a transcript of it. */
  | { readonly type: "found" }
  /** Its transcript was read; `lastUuid` is its last message. */
  | { readonly type: "read"; readonly lastUuid: string }
  /** The transcript lacks something that was said. */
  | { readonly type: "unwritten" }
  /** The transcript lacks something that the session knows of; `lastUuid` is the transcript's last message, if any. */
  | { readonly type: "behind"; readonly lastUuid: string | undefined }
  /** A process resumed it, so it has a transcript. */
  | { readonly type: "resumed" }
  /** Claude Code has no transcript of it; `freshId` is used if there may never have been one. */
  | { readonly type: "missing"; readonly freshId: string }
  /** Claude Code could not cut it back, because the message was never written. */
  | { readonly type: "cut_refused" }
  /** It is forgotten, on request or because its transcript is gone. */
  | { readonly type: "forgotten"; readonly freshId: string };

/** Returns the conversation that a session with these options begins with. */
export function firstConversation(
  options: Pick<SdkOptions, "resume" | "forkSession" | "resumeSessionAt" | "sessionId">,
  newId: () => string,
): Conversation {
  const { resume, forkSession, resumeSessionAt: at, sessionId } = options;
  if (resume === undefined) return { kind: "new", id: sessionId ?? newId() };
  if (forkSession === true) return { kind: "fork", id: sessionId ?? newId(), fork: { from: resume, at } };
  return { kind: "kept", id: resume, empty: false, lastUuid: at, cut: at !== undefined };
}

/** Returns the conversation after `event`. */
export function nextConversation(conversation: Conversation, event: ConversationEvent): Conversation {
  const { kind, id } = conversation;
  switch (event.type) {
    case "prompted":
      if (kind === "kept") return conversation;
      return kind === "new"
        ? { kind: "kept", id, empty: true, cut: false }
        : { kind: "kept", id, empty: false, lastUuid: conversation.fork.at, cut: false, fork: conversation.fork };
    case "turn_kept": {
      const known = kind === "kept" ? conversation.lastUuid : undefined;
      const broken = kind === "kept" && conversation.broken === true;
      return {
        kind: "kept",
        id,
        empty: false,
        lastUuid: event.lastUuid ?? known,
        cut: false,
        ...(broken ? { broken } : {}),
      };
    }
    case "unwritten":
      return kind === "kept" ? { ...conversation, broken: true } : conversation;
    case "turn_cut": {
      const unwritten = kind === "kept" ? (conversation.unwritten ?? sourceOf(conversation)) : undefined;
      const kept = nextConversation(conversation, { type: "turn_kept", lastUuid: event.lastUuid });
      if (kept.kind !== "kept") return kept;
      // Of several interrupted turns in a row, only what preceded the first is known to be written.
      const before = kind === "kept" ? (conversation.before ?? conversation.lastUuid) : undefined;
      return {
        ...kept,
        ...(before === undefined || before === kept.lastUuid ? {} : { before }),
        ...withoutUndefined({ unwritten }),
      };
    }
    case "turn_undone":
      if (kind !== "kept") return conversation;
      if (conversation.empty) return { kind: "new", id: event.freshId };
      if (conversation.fork !== undefined) return { kind: "fork", id: event.freshId, fork: conversation.fork };
      return undone(conversation, event);
    case "looked_back": {
      if (kind !== "kept") return conversation;
      const { suspect: _, lastUuid, before, ...rest } = conversation;
      const cut = event.lastUuid ?? lastUuid;
      // If Claude Code does not find that message, suspect content is better than a refused start.
      const other = cut === lastUuid ? before : lastUuid;
      return { ...rest, lastUuid: cut, cut: cut !== undefined, ...withoutUndefined({ before: other }) };
    }
    case "copied": {
      if (kind !== "kept") return conversation;
      const { summarised: _, suspect, ...rest } = conversation;
      const still = suspect === undefined ? {} : { suspect };
      // The messages of a copy have different ids.
      return event.id === undefined
        ? { ...rest, ...still }
        : { kind, id: event.id, empty: false, cut: false, ...still };
    }
    case "moved":
      return { kind: "kept", id: event.id, empty: true, cut: false };
    case "found":
      // The transcript that Claude Code reports may be an empty file.
      return { kind: "kept", id, empty: false, cut: false, unwritten: "nothing" };
    case "read":
      return endIsUnknown(conversation) ? { ...conversation, lastUuid: event.lastUuid } : conversation;
    case "behind": {
      if (kind !== "kept") return conversation;
      const { lastUuid: _, before: _1, broken: _2, ...rest } = conversation;
      return { ...rest, ...withoutUndefined({ lastUuid: event.lastUuid }) };
    }
    case "resumed": {
      if (kind !== "kept" || conversation.unwritten === undefined) return conversation;
      const { unwritten: _, ...written } = conversation;
      return written;
    }
    case "missing":
      if (kind !== "kept" || conversation.unwritten === undefined) return conversation;
      return conversation.unwritten === "nothing"
        ? { kind: "new", id: event.freshId }
        : { kind: "fork", id: event.freshId, fork: conversation.unwritten };
    case "cut_refused": {
      if (kind !== "kept") return conversation;
      const { before, ...rest } = conversation;
      return before === undefined ? { ...rest, cut: false } : { ...rest, lastUuid: before };
    }
    case "forgotten":
      return { kind: "new", id: event.freshId };
  }
}

/** Returns the conversation without its last turn. */
function undone(
  conversation: Conversation & { readonly kind: "kept" },
  { summary, suspect = false }: ConversationEvent & { readonly type: "turn_undone" },
): Conversation {
  const lastUuid = conversation.lastUuid ?? summary;
  return {
    ...conversation,
    lastUuid,
    cut: lastUuid !== undefined,
    ...(summary === undefined ? {} : { before: summary, summarised: conversation.lastUuid !== undefined }),
    ...(suspect ? { suspect } : {}),
  };
}

/** Returns what it started from, until a turn has ended in it. */
function sourceOf({ empty, fork }: Conversation & { readonly kind: "kept" }): ForkSource | "nothing" | undefined {
  return fork ?? (empty ? "nothing" : undefined);
}

/**
 * Whether it was resumed by its id and its last message is unknown, so that an interrupted turn could not be undone.
 */
export function endIsUnknown(conversation: Conversation): conversation is Conversation & { readonly kind: "kept" } {
  return (
    conversation.kind === "kept" &&
    !conversation.empty &&
    conversation.fork === undefined &&
    conversation.lastUuid === undefined
  );
}

/**
 * Returns the messages of which the transcript must contain one, if the next process is to know everything that the
 * session does. The messages of an interrupted turn may never have been written; then the message before them counts.
 * Empty if none is known, or if Claude Code itself looks for the message.
 */
export function knownEnd(conversation: Conversation): readonly string[] {
  if (conversation.kind !== "kept" || conversation.cut || conversation.lastUuid === undefined) return [];
  return [conversation.lastUuid, ...(conversation.before === undefined ? [] : [conversation.before])];
}

/** Whether its transcript is known to be incomplete. */
export function isBroken(conversation: Conversation): boolean {
  return conversation.kind === "kept" && conversation.broken === true;
}

/** Whether Claude Code may never have written a transcript, because all its turns were interrupted. */
export function mayBeUnwritten(conversation: Conversation): boolean {
  return conversation.kind === "kept" && conversation.unwritten !== undefined;
}

/** Whether only a copy can be cut back to the message to keep. */
export function isSummarised(
  conversation: Conversation,
): conversation is Conversation & { readonly kind: "kept"; readonly lastUuid: string } {
  return conversation.kind === "kept" && conversation.summarised === true && conversation.lastUuid !== undefined;
}

/** Whether the API rejects its content, so that it has to be cut back to a successful turn. */
export function isSuspect(conversation: Conversation): boolean {
  return conversation.kind === "kept" && conversation.suspect === true;
}

/**
 * Returns the options of a fork of this conversation.
 *
 * @param ends whether the fork ends with the last ended turn, because others run or follow before its process starts
 */
export function forkOptions(
  conversation: Conversation,
  ends: boolean,
): Pick<SdkOptions, "resume" | "forkSession" | "resumeSessionAt"> {
  const begin = (resume: string, at: string | undefined): ReturnType<typeof forkOptions> => ({
    resume,
    forkSession: true,
    ...withoutUndefined({ resumeSessionAt: at }),
  });
  if (conversation.kind === "fork") return begin(conversation.fork.from, conversation.fork.at);
  if (conversation.kind === "new" || conversation.empty) return {};
  if (conversation.fork !== undefined) return begin(conversation.fork.from, conversation.fork.at);
  // Messages that a compaction has summarised are not found; the summary is.
  const { lastUuid, before } = conversation;
  const at = isSummarised(conversation) ? before : lastUuid;
  return begin(conversation.id, ends || conversation.cut ? at : undefined);
}

/** Returns how the next process begins. */
export function conversationStart(conversation: Conversation): ConversationStart {
  switch (conversation.kind) {
    case "new":
      return { kind: "new", id: conversation.id };
    case "fork":
      return { kind: "fork", id: conversation.id, ...conversation.fork };
    case "kept":
      return { kind: "resume", id: conversation.id, at: conversation.cut ? conversation.lastUuid : undefined };
  }
}

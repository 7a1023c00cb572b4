import type { Options as SdkOptions } from "@anthropic-ai/claude-agent-sdk";
import type { ConversationStart } from "../../claude/conversation-start.ts";
import { withoutUndefined } from "../../fields.ts";

/** What a session knows of its conversation between two activations. Conversation and message ids are UUIDs. */
export type Conversation =
  /** Claude Code may never have heard of it; nothing would be lost with it. */
  | { readonly kind: "new"; readonly id: string }
  /** To be made from `from` at the next start. */
  | { readonly kind: "fork"; readonly id: string; readonly fork: ForkSource }
  /** It may have a transcript. */
  | {
      readonly kind: "kept";
      readonly id: string;
      /** Whether nothing has been said in it that anybody would miss. */
      readonly empty: boolean;
      /** The last message of it that is to be kept, as far as that is known. */
      readonly lastUuid?: string | undefined;
      /**
       * Where to cut back to if Claude Code does not find `lastUuid`: the last message before a turn that was cut, whose own were spoken
       * and perhaps never written, or the summary of a compaction, in which what was said before has gone.
       */
      readonly before?: string | undefined;
      /** Whether a resume leaves out what came after `lastUuid`; Claude Code forgets that only when a turn follows. */
      readonly cut: boolean;
      /** Whether a compaction has put a summary in the place of what was said up to `lastUuid`, so that it has to be copied. */
      readonly summarised?: boolean;
      /** Whether the API refuses what stands in it up to `lastUuid`, so that it is to be cut back further. */
      readonly suspect?: boolean;
      /** Whether its transcript lacks something that was said before `lastUuid`, which breaks off the conversation for the next process. */
      readonly broken?: boolean;
      /** What it was made from, while no turn has ended in it. */
      readonly fork?: ForkSource;
      /**
       * What it was made from, if its only turns were cut and no process has resumed it yet: Claude Code writes a moment after it has
       * spoken, so that there may never have been a transcript.
       */
      readonly unwritten?: ForkSource | "nothing";
    };

/** Another conversation, optionally up to the message `at`. */
export interface ForkSource {
  readonly from: string;
  readonly at?: string | undefined;
}

export type ConversationEvent =
  /** A prompt has been handed to the process. */
  | { readonly type: "prompted" }
  /** A turn ended; `lastUuid` is the last message of it. */
  | { readonly type: "turn_kept"; readonly lastUuid: string | undefined }
  /** A turn was cut by the end of its process after it had shown something; `lastUuid` is the last message of it. */
  | { readonly type: "turn_cut"; readonly lastUuid: string | undefined }
  /**
   * A turn is taken out, as if it had not been; `freshId` serves if nothing else was said. `summary` is that of a compaction in it.
   * `suspect` says that it was not to blame for what the API refused, but what was said before.
   */
  | {
      readonly type: "turn_undone";
      readonly freshId: string;
      readonly summary?: string | undefined;
      readonly suspect?: boolean;
    }
  /** The transcript of a suspect one has been read; `lastUuid` is the last message of the last turn that worked, if one did. */
  | { readonly type: "looked_back"; readonly lastUuid: string | undefined }
  /** What was said before a compaction has been copied into another conversation; without an id it could not be. */
  | { readonly type: "copied"; readonly id: string | undefined }
  /** Claude Code is in another conversation than it was, as after its `/clear`. */
  | { readonly type: "moved"; readonly id: string }
  /** Claude Code already has a transcript of it. */
  | { readonly type: "found" }
  /** Its transcript has been read; `lastUuid` is the last message of it. */
  | { readonly type: "read"; readonly lastUuid: string }
  /** Something was said in it that does not stand in the transcript. */
  | { readonly type: "unwritten" }
  /** Its transcript lacks what the session knows of; `lastUuid` is the last message that it has, if it has one. */
  | { readonly type: "behind"; readonly lastUuid: string | undefined }
  /** A process has resumed it, so that it has a transcript. */
  | { readonly type: "resumed" }
  /** Claude Code has no transcript of it; `freshId` serves if there may never have been one. */
  | { readonly type: "missing"; readonly freshId: string }
  /** Claude Code could not cut it back: the message was never written. */
  | { readonly type: "cut_refused" }
  /** Forgotten, by the caller's wish or because its transcript is gone. */
  | { readonly type: "forgotten"; readonly freshId: string };

/** The conversation that a session with these options begins with. */
export function firstConversation(
  options: Pick<SdkOptions, "resume" | "forkSession" | "resumeSessionAt" | "sessionId">,
  newId: () => string,
): Conversation {
  const { resume, forkSession, resumeSessionAt: at, sessionId } = options;
  if (resume === undefined) return { kind: "new", id: sessionId ?? newId() };
  if (forkSession === true) return { kind: "fork", id: sessionId ?? newId(), fork: { from: resume, at } };
  return { kind: "kept", id: resume, empty: false, lastUuid: at, cut: at !== undefined };
}

/** The conversation after `event`. */
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
      // Of several turns in a row that were cut, what was before the first is known to be written.
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
      // Where Claude Code does not find that message, what is suspect is better than what is refused.
      const other = cut === lastUuid ? before : lastUuid;
      return { ...rest, lastUuid: cut, cut: cut !== undefined, ...withoutUndefined({ before: other }) };
    }
    case "copied": {
      if (kind !== "kept") return conversation;
      const { summarised: _, suspect, ...rest } = conversation;
      const still = suspect === undefined ? {} : { suspect };
      // The messages of a copy have other ids.
      return event.id === undefined
        ? { ...rest, ...still }
        : { kind, id: event.id, empty: false, cut: false, ...still };
    }
    case "moved":
      return { kind: "kept", id: event.id, empty: true, cut: false };
    case "found":
      // What Claude Code says it has may be an empty file.
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

/** One that goes on as it was before its last turn. */
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

/** What it was made from, while no turn has ended in it. */
function sourceOf({ empty, fork }: Conversation & { readonly kind: "kept" }): ForkSource | "nothing" | undefined {
  return fork ?? (empty ? "nothing" : undefined);
}

/**
 * Whether it was taken over by its id, and where it ends is not known; then a turn that is cut could not be taken out of it.
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
 * The messages of which its transcript has to have one, if the next process is to know all that the session does: what Claude had
 * told in a turn that was cut may never have been written, and then it is what was said before. None if that is not known, and where
 * Claude Code itself looks for the message.
 */
export function knownEnd(conversation: Conversation): readonly string[] {
  if (conversation.kind !== "kept" || conversation.cut || conversation.lastUuid === undefined) return [];
  return [conversation.lastUuid, ...(conversation.before === undefined ? [] : [conversation.before])];
}

/** Whether its transcript is known to lack something of it. */
export function isBroken(conversation: Conversation): boolean {
  return conversation.kind === "kept" && conversation.broken === true;
}

/** Whether Claude Code may never have written what the session knows of it, since its only turns were cut. */
export function mayBeUnwritten(conversation: Conversation): boolean {
  return conversation.kind === "kept" && conversation.unwritten !== undefined;
}

/** Whether what it is to be cut back to is to be had by a copy only. */
export function isSummarised(
  conversation: Conversation,
): conversation is Conversation & { readonly kind: "kept"; readonly lastUuid: string } {
  return conversation.kind === "kept" && conversation.summarised === true && conversation.lastUuid !== undefined;
}

/** Whether the API refuses what stands in it, so that it is to be cut back to a turn that worked. */
export function isSuspect(conversation: Conversation): boolean {
  return conversation.kind === "kept" && conversation.suspect === true;
}

/** The options of a session that is to begin with what this one remembers, without the turn that runs if one does. */
export function forkOptions(
  conversation: Conversation,
  busy: boolean,
): Pick<SdkOptions, "resume" | "forkSession" | "resumeSessionAt"> {
  const begin = (resume: string, at: string | undefined): ReturnType<typeof forkOptions> => ({
    resume,
    forkSession: true,
    ...withoutUndefined({ resumeSessionAt: at }),
  });
  if (conversation.kind === "fork") return begin(conversation.fork.from, conversation.fork.at);
  if (conversation.kind === "new" || conversation.empty) return {};
  if (conversation.fork !== undefined) return begin(conversation.fork.from, conversation.fork.at);
  // What a compaction has summarised is not found; the summary is.
  const { lastUuid, before } = conversation;
  const at = isSummarised(conversation) ? before : lastUuid;
  return begin(conversation.id, busy || conversation.cut ? at : undefined);
}

/** How the next process is to begin. */
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

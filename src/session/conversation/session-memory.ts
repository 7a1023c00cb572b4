import { isDeepStrictEqual } from "node:util";
import type { Options as SdkOptions } from "@anthropic-ai/claude-agent-sdk";
import { z } from "zod";
import type { Totals } from "../../claude/messages/cost.ts";
import type { Wakeup } from "../../claude/messages/wakeups.ts";
import type { TranscriptLocation } from "../../claude/transcript-location.ts";
import { CastellanError } from "../../errors.ts";
import { withoutUndefined } from "../../fields.ts";
import type { JsonObject } from "../../journal/model/session-entry.ts";
import type { Conversation } from "./conversation.ts";
import { type Granted, grantedSchema } from "./granted.ts";

/** The options that select the conversation a session begins with. */
export type Origin = Pick<SdkOptions, "resume" | "forkSession" | "resumeSessionAt" | "sessionId">;

/** What a session remembers across restarts of the application. */
export interface SessionMemory {
  readonly conversation: Conversation;
  /** The options that it began with. */
  readonly origin: Origin;
  /** The running totals that the last process reported. */
  readonly totals: Totals;
  /** The location of its transcripts, if on this machine. */
  readonly place?: TranscriptLocation | undefined;
  /** The project key of its transcripts, if in a session store. */
  readonly projectKey?: string | undefined;
  /** The turns that Claude has scheduled for itself; they live in the process. */
  readonly wakeups?: readonly Wakeup[] | undefined;
  /** What the session may do beyond its options, if anything. */
  readonly granted?: Granted | undefined;
}

/** A conversation, or a location of it, that the session has left and where transcripts may remain. */
export interface LeftConversation extends Pick<SessionMemory, "place" | "projectKey"> {
  /** Claude's id of the conversation. */
  readonly id: string;
}

const forkSchema = z.object({ from: z.string(), at: z.string().optional() });

const conversationSchema: z.ZodType<Conversation> = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("new"), id: z.string() }),
  z.object({ kind: z.literal("fork"), id: z.string(), fork: forkSchema }),
  z.object({
    kind: z.literal("kept"),
    id: z.string(),
    empty: z.boolean(),
    lastUuid: z.string().optional(),
    before: z.string().optional(),
    cut: z.boolean(),
    summarised: z.boolean().optional(),
    suspect: z.boolean().optional(),
    broken: z.boolean().optional(),
    fork: forkSchema.optional(),
    unwritten: z.union([forkSchema, z.literal("nothing")]).optional(),
  }),
]) as z.ZodType<Conversation>;

const spendingSchema = z.object({
  costUsd: z.number(),
  usage: z.object({
    inputTokens: z.number(),
    outputTokens: z.number(),
    cacheReadInputTokens: z.number(),
    cacheCreationInputTokens: z.number(),
  }),
});

const whereShape = {
  place: z.object({ config: z.string(), cwd: z.string() }).optional(),
  projectKey: z.string().optional(),
};

const whereSchema = z.object(whereShape);

const schema = z.object({
  conversation: conversationSchema,
  origin: z.object({
    resume: z.string().optional(),
    forkSession: z.boolean().optional(),
    resumeSessionAt: z.string().optional(),
    sessionId: z.string().optional(),
  }),
  totals: z.record(z.string(), spendingSchema),
  ...whereShape,
  wakeups: z.array(z.object({ id: z.string(), at: z.number().optional(), recurring: z.boolean() })).optional(),
  granted: grantedSchema.optional(),
});

/**
 * Reads the memory from the journal.
 *
 * @throws CastellanError `JOURNAL_UNAVAILABLE` if it cannot be read; the session then does not start over by itself
 */
export function readMemory(json: JsonObject, who: string): SessionMemory {
  const read = schema.safeParse(json);
  if (read.success) return read.data as SessionMemory;
  const message = `${who}: this release cannot read the conversation in the journal.`;
  throw new CastellanError("JOURNAL_UNAVAILABLE", message, { details: { reason: "damaged" } });
}

/** Returns where the transcripts of a conversation are, as far as the journal's entry can be read. */
export function readWhere(json: JsonObject): Pick<SessionMemory, "place" | "projectKey"> {
  return whereSchema.safeParse(json).data ?? {};
}

export function originOf({ resume, forkSession, resumeSessionAt, sessionId }: Origin): Origin {
  return withoutUndefined({ resume, forkSession, resumeSessionAt, sessionId });
}

/**
 * Whether a session with these options resumes its previous conversation. It does unless its options now select a
 * different one.
 */
export function resumesConversation({ origin }: SessionMemory, options: Origin): boolean {
  const now = originOf(options);
  return Object.keys(now).length === 0 || isDeepStrictEqual(now, origin);
}

import { isDeepStrictEqual } from "node:util";
import type { Options as SdkOptions } from "@anthropic-ai/claude-agent-sdk";
import { z } from "zod";
import type { Totals } from "../../claude/messages/cost.ts";
import type { Wakeup } from "../../claude/messages/wakeups.ts";
import type { TranscriptPlace } from "../../claude/transcript-place.ts";
import { CastellanError } from "../../errors.ts";
import { withoutUndefined } from "../../fields.ts";
import type { JsonObject } from "../../journal/model/session-entry.ts";
import { jsonOf } from "../streams/turn-end.ts";
import type { Conversation } from "./conversation.ts";
import { type Granted, grantedSchema } from "./granted.ts";

/** The options that say which conversation a session begins with. */
export type Origin = Pick<SdkOptions, "resume" | "forkSession" | "resumeSessionAt" | "sessionId">;

/** What a session remembers over restarts of the application. */
export interface SessionMemory {
  readonly conversation: Conversation;
  /** The options that it began with. */
  readonly origin: Origin;
  /** The running totals that the last process told last. */
  readonly totals: Totals;
  /** Where its transcripts are, if they are on this machine. */
  readonly place?: TranscriptPlace | undefined;
  /** Under which key they are, if they are in a session store. */
  readonly projectKey?: string | undefined;
  /** The turns that Claude has scheduled for itself, which its process keeps. */
  readonly wakeups?: readonly Wakeup[] | undefined;
  /** What it may do besides what its options say, if that is anything. */
  readonly granted?: Granted | undefined;
}

/** A conversation that the session has left, or a place of it: where its transcripts may still be. */
export interface LeftConversation extends Pick<SessionMemory, "place" | "projectKey"> {
  /** Claude's id of it. */
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

/** The memory as the journal keeps it. */
export function writeMemory(memory: SessionMemory): JsonObject {
  return jsonOf(memory);
}

/**
 * The memory as it was.
 *
 * @throws CastellanError `JOURNAL_UNAVAILABLE`; a session does not forget by itself
 */
export function readMemory(json: JsonObject, who: string): SessionMemory {
  const read = schema.safeParse(json);
  if (read.success) return read.data as SessionMemory;
  const message = `${who}: this release cannot read the conversation in the journal.`;
  throw new CastellanError("JOURNAL_UNAVAILABLE", message, { details: { reason: "damaged" } });
}

/** Where the transcripts are of a conversation of which the journal has this, as far as that can be read. */
export function readWhere(json: JsonObject): Pick<SessionMemory, "place" | "projectKey"> {
  return whereSchema.safeParse(json).data ?? {};
}

export function originOf({ resume, forkSession, resumeSessionAt, sessionId }: Origin): Origin {
  return withoutUndefined({ resume, forkSession, resumeSessionAt, sessionId });
}

/**
 * Whether a session with these options goes on with the conversation that it had: it does unless they name another one
 * to begin with than they did then.
 */
export function goesOn({ origin }: SessionMemory, options: Origin): boolean {
  const now = originOf(options);
  return Object.keys(now).length === 0 || isDeepStrictEqual(now, origin);
}

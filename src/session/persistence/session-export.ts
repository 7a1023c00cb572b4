import { isUtf8 } from "node:buffer";
import { readFile } from "node:fs/promises";
import type { SessionStore } from "@anthropic-ai/claude-agent-sdk";
import { filesAt, linesOf } from "../../claude/conversation-files.ts";
import { withoutUndefined } from "../../fields.ts";
import type { ApprovalEntry } from "../../journal/model/approval-entry.ts";
import type { DeliveryEntry } from "../../journal/model/delivery-entry.ts";
import type { EventEntry } from "../../journal/model/event-entry.ts";
import type { JobEntry } from "../../journal/model/job-entry.ts";
import type { Json, JsonObject, SessionDescription } from "../../journal/model/session-entry.ts";
import type { Spending } from "../../journal/model/spending.ts";
import type { TranscriptHead } from "../../journal/model/transcript-entry.ts";
import type { TurnEntry } from "../../journal/model/turn-entry.ts";
import type { SessionName } from "../../names.ts";
import type { Belongings, KnownConversations, StoredKey, TranscriptsInStore } from "./belongings.ts";
import { hashesIn } from "./stored-prompt.ts";
import type { SupervisorJournal } from "./supervisor-journal.ts";

/** How to export a session. */
export interface ExportOptions {
  /** The session store with its transcripts, if neither the session's options nor the defaults name it. */
  readonly sessionStore?: SessionStore;
}

/** One line of an export, as JSON. Times are in milliseconds since the epoch. Later releases may add types. */
export type ExportedLine =
  /** The first line. */
  | {
      readonly type: "session";
      readonly name: SessionName;
      /** Claude's ids of all the session's conversations, the current one last. */
      readonly conversations: readonly string[];
      /** What lists show of the session; see `session.describe`. */
      readonly description?: Omit<SessionDescription, "memory">;
    }
  | ({ readonly type: "turn" } & Omit<TurnEntry, "session">)
  | ({ readonly type: "approval" } & Omit<ApprovalEntry, "session">)
  /** A prompt that becomes a turn later. */
  | ({ readonly type: "job" } & Omit<JobEntry, "session">)
  /** How far a webhook has got with the session's events, while it may lack some. */
  | ({ readonly type: "delivery" } & Pick<DeliveryEntry, "endpoint" | "after" | "at">)
  /** An event of the session, in the order of their numbers. */
  | { readonly type: "event"; readonly event: Omit<EventEntry, "session"> }
  /** A content that the turn or the event before it is the first to refer to. Content that is not UTF-8 is in `base64`. */
  | ({ readonly type: "content"; readonly hash: string; readonly mediaType?: string } & FileContent)
  /** Spending on one model on one day (UTC). */
  | ({ readonly type: "usage"; readonly day: string; readonly model: string } & Spending)
  /**
   * A line of a transcript as Claude Code wrote it. A line that is not JSON, because the process was killed, is a
   * string.
   */
  | {
      readonly type: "transcript";
      readonly conversationId: string;
      /** Identifies the subagent, if it is a subagent's transcript. */
      readonly subpath?: string;
      readonly entry: Json;
    }
  /** Another file of Claude Code, with its path. Content that is not UTF-8 is in `base64`. */
  | ({ readonly type: "file"; readonly conversationId: string; readonly path: string } & FileContent)
  /** A file of Claude's memory of the working directory, which other sessions may share. */
  | ({ readonly type: "memory"; readonly path: string } & FileContent);

/** The content of a file. */
export type FileContent = { readonly text: string } | { readonly base64: string };

export interface ExportRequest {
  readonly name: SessionName;
  /** The canonical form of the name. */
  readonly key: string;
  readonly known: KnownConversations;
  readonly belongings: Belongings;
  readonly supervisorJournal: SupervisorJournal;
}

/** Yields everything known about a session as lines of JSON, each with its line feed. Reads lazily. */
export async function* exportLines(request: ExportRequest): AsyncGenerator<string, void, undefined> {
  for await (const line of exported(request)) yield `${JSON.stringify(line)}\n`;
}

async function* exported({
  name,
  key,
  known,
  belongings,
  supervisorJournal,
}: ExportRequest): AsyncGenerator<ExportedLine, void, undefined> {
  const { conversations } = belongings;
  const { memory: _, ...shown } = known.entry?.description ?? {};
  const description = Object.keys(shown).length === 0 ? undefined : shown;
  yield withoutUndefined({ type: "session", name, conversations, description });
  const contents = new Set<string>();
  for await (const record of supervisorJournal.records(key)) {
    if (record.type === "turn") {
      const { session: _, ...turn } = record.turn;
      yield { type: "turn", ...turn };
      const hashes = await hashesIn(turn, (hash) => supervisorJournal.content(hash));
      yield* contentLines(hashes, contents, supervisorJournal);
    } else if (record.type === "approval") {
      const { session: _, ...approval } = record.approval;
      yield { type: "approval", ...approval };
    } else {
      const { session: _, ...job } = record.job;
      yield { type: "job", ...job };
    }
  }
  for (const { endpoint, after, at } of await supervisorJournal.deliveries(key)) {
    yield { type: "delivery", endpoint, after, at };
  }
  yield* eventLines(key, contents, supervisorJournal);
  for (const { day = "", model = "", costUsd, usage } of await supervisorJournal.usage({
    session: key,
    by: ["day", "model"],
  })) {
    yield { type: "usage", day, model, costUsd, usage };
  }
  const stored = new Set<string>();
  for (const head of belongings.journaled) {
    stored.add(head.conversationId);
    yield* journaledLines(head, supervisorJournal);
  }
  for (const transcript of belongings.storedKeys(conversations.filter((id) => !stored.has(id)))) {
    for await (const line of storedLines(transcript, belongings.store)) {
      stored.add(transcript.sessionId);
      yield line;
    }
  }
  for (const { path, conversationId } of await belongings.files(conversations)) {
    for (const file of await filesAt(path)) {
      if (!file.endsWith(".jsonl")) yield { type: "file", conversationId, path: file, ...(await contentOf(file)) };
      // Claude Code's file on this machine is only a copy of the stored transcript.
      else if (!stored.has(conversationId)) yield* transcriptLines(file, path, conversationId);
    }
  }
  for (const folder of [...(await belongings.memories()), ...(await belongings.ownMemories())]) {
    for (const path of await filesAt(folder)) yield { type: "memory", path, ...(await contentOf(path)) };
  }
}

/** How many events to read at a time. */
const EVENTS = 100;

/** Yields the events of a session, each followed by the contents that it is the first to refer to. */
async function* eventLines(
  session: string,
  exported: Set<string>,
  journal: SupervisorJournal,
): AsyncGenerator<ExportedLine, void, undefined> {
  for (let after = 0; ; ) {
    const events = await journal.events({ session, after, limit: EVENTS });
    for (const { session: _, ...event } of events) {
      yield { type: "event", event };
      yield* contentLines(event.contents ?? [], exported, journal);
    }
    const last = events.at(-1);
    if (last === undefined) return;
    after = last.number;
  }
}

/** Yields a transcript in the journal. */
async function* journaledLines(
  { conversationId, subpath }: TranscriptHead,
  journal: SupervisorJournal,
): AsyncGenerator<ExportedLine, void, undefined> {
  const key = { conversationId, ...withoutUndefined({ subpath }) };
  for await (const lines of journal.transcriptLines(key)) {
    for (const line of lines.split("\n")) if (line !== "") yield lineOf(conversationId, subpath, parsed(line));
  }
}

/** Yields the contents with these hashes that are not among `exported` yet. */
async function* contentLines(
  hashes: readonly string[],
  exported: Set<string>,
  journal: SupervisorJournal,
): AsyncGenerator<ExportedLine, void, undefined> {
  for (const hash of hashes) {
    if (exported.has(hash)) continue;
    exported.add(hash);
    const content = await journal.content(hash);
    if (content === undefined) continue;
    const { data, mediaType } = content;
    yield withoutUndefined({ type: "content", hash, mediaType, ...bytesAsContent(data) });
  }
}

/** Yields a conversation's transcript in a session store, and those of its subagents. */
async function* storedLines(
  transcript: StoredKey,
  store: TranscriptsInStore | undefined,
): AsyncGenerator<ExportedLine, void, undefined> {
  const subpaths = (await store?.listSubkeys?.(transcript)) ?? [];
  for (const subpath of [undefined, ...subpaths]) {
    const entries = (await store?.load({ ...transcript, ...withoutUndefined({ subpath }) })) ?? [];
    for (const entry of entries) yield lineOf(transcript.sessionId, subpath, entry as JsonObject);
  }
}

/** Yields the transcript in `file`: the conversation's own at `path`, or a subagent's below it. */
async function* transcriptLines(
  file: string,
  path: string,
  conversationId: string,
): AsyncGenerator<ExportedLine, void, undefined> {
  const subpath = file === path ? undefined : file.slice(path.length + 1, -".jsonl".length);
  for await (const line of linesOf(file)) if (line !== "") yield lineOf(conversationId, subpath, parsed(line));
}

function lineOf(conversationId: string, subpath: string | undefined, entry: Json): ExportedLine {
  return withoutUndefined({ type: "transcript", conversationId, subpath, entry });
}

function parsed(line: string): Json {
  try {
    return JSON.parse(line) as Json;
  } catch {
    return line;
  }
}

/** Reads a file; one that was removed in the meantime counts as empty. */
async function contentOf(file: string): Promise<FileContent> {
  return bytesAsContent(await readFile(file).catch(() => Buffer.alloc(0)));
}

function bytesAsContent(data: Uint8Array): FileContent {
  const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  return isUtf8(bytes) ? { text: bytes.toString("utf8") } : { base64: bytes.toString("base64") };
}

import { join } from "node:path";
import type { Options as SdkOptions, SessionStore, SessionStoreEntry } from "@anthropic-ai/claude-agent-sdk";
import { restoreTranscript } from "../../claude/restore-transcript.ts";
import {
  descriptionLine,
  linesAfter,
  type TranscriptFile,
  transcriptFile,
  transcriptFiles,
} from "../../claude/transcript-files.ts";
import { type TranscriptLocation, transcriptAt, transcriptFolderOf } from "../../claude/transcript-location.ts";
import { resumingFrom } from "../../claude/transcript-mirror.ts";
import { transcriptHas } from "../../claude/transcript-search.ts";
import { withoutUndefined } from "../../fields.ts";
import type { JournalWriter } from "../../journal/journal-writer.ts";
import {
  formerOf,
  type TranscriptHead,
  type TranscriptKey,
  type TranscriptStore,
} from "../../journal/model/transcript-entry.ts";
import { journalSessionStore, linkedLines } from "./journal-session-store.ts";

/**
 * The maximum size of what waits for the journal, in characters. Beyond it, the journal receives the rest of the
 * conversation from the transcript's file, before the next process starts.
 */
const MOST_PENDING = 64 * 1_024 ** 2;

/** What the transcripts of a session need of its journal. */
export interface TranscriptJournal {
  /** The stored transcripts; undefined if the journal keeps none, or may not. */
  readonly transcripts: TranscriptStore | undefined;
  /** Whether other applications write the session's transcripts at other times, see `Journal.shared`. */
  readonly isShared: boolean;
}

/** What writes a session's transcripts. */
export interface TranscriptWriter {
  /** Undefined if nothing of the session is to be written any more. */
  readonly writer: JournalWriter | undefined;
}

/**
 * The transcripts of a session in the journal, and their copies on this machine. A process reads and writes the copies;
 * the journal receives every entry as it is written. Before a process resumes a conversation, both sides are made equal.
 */
export class SessionTranscripts {
  readonly #session: string;
  readonly #journal: TranscriptJournal;
  readonly #writing: TranscriptWriter;
  /** The conversations whose transcript in the journal may lack something. They receive nothing more for now. */
  #incomplete: Set<string> | undefined;
  /**
   * The conversations whose files were equal to the journal and have since been written by this session's processes
   * only. With a shared journal, any other file may be of an application that lost the session before the journal had
   * all of it.
   */
  #own: Set<string> | undefined;
  /** Serves processes that may not find the files of this machine. */
  #sessionStore: SessionStore | undefined;
  #pending = 0;
  /** The last settling, if one is pending; they run one after the other. */
  #settling: Promise<void> | undefined;

  constructor(session: string, journal: TranscriptJournal, writing: TranscriptWriter) {
    this.#session = session;
    this.#journal = journal;
    this.#writing = writing;
  }

  /** Writes what a process has appended to a transcript, together with the next changes or a moment later. */
  append(key: TranscriptKey, entries: readonly SessionStoreEntry[]): void {
    const [store, writer] = [this.#journal.transcripts, this.#writing.writer];
    if (store === undefined || writer === undefined || entries.length === 0) return;
    this.#own = (this.#own ?? new Set()).add(key.conversationId);
    if (this.#incomplete?.has(key.conversationId) === true) return;
    const lines = linesOf(entries);
    const lastUuid = entries.findLast(({ uuid }) => typeof uuid === "string")?.uuid;
    if (this.#pending > 0 && this.#pending + lines.length > MOST_PENDING) {
      this.#incomplete = (this.#incomplete ?? new Set()).add(key.conversationId);
      return;
    }
    this.#pending += lines.length;
    const part = { session: this.#session, ...key, lines, ...withoutUndefined({ lastUuid }) };
    const change = { type: "transcript_appended", part } as const;
    void writer.record([change], { session: this.#session, lazy: true }).then(
      () => {
        this.#pending -= lines.length;
      },
      () => {
        this.#pending -= lines.length;
        this.#incomplete = (this.#incomplete ?? new Set()).add(key.conversationId);
      },
    );
  }

  /** Whether the journal has a transcript of the conversation. @throws CastellanError `JOURNAL_UNAVAILABLE` */
  async has(conversationId: string): Promise<boolean> {
    await this.#writing.writer?.caughtUp();
    return (await this.#ownHead(conversationId)) !== undefined;
  }

  /** Yields the lines of a transcript, once the journal has all of them. @throws CastellanError `JOURNAL_UNAVAILABLE` */
  async *lines(key: TranscriptKey): AsyncGenerator<string, void, undefined> {
    const [store, writer] = [this.#journal.transcripts, this.#writing.writer];
    await writer?.settled();
    if (store !== undefined) yield* store.lines(key);
  }

  /** Returns the transcripts of a conversation's subagents. @throws CastellanError `JOURNAL_UNAVAILABLE` */
  async subpaths(conversationId: string): Promise<string[]> {
    return ((await this.#journal.transcripts?.of(conversationId)) ?? []).flatMap(({ subpath }) => subpath ?? []);
  }

  /**
   * Returns the options of a process. If another application may continue the session, but the process may not find
   * the files of this machine, the process resumes from the journal itself.
   */
  optionsFor(sdk: SdkOptions): SdkOptions {
    const { transcripts: store, isShared } = this.#journal;
    const { sessionStore, spawnClaudeCodeProcess } = sdk;
    if (store === undefined || !isShared || sessionStore !== undefined || spawnClaudeCodeProcess === undefined)
      return sdk;
    this.#sessionStore ??= journalSessionStore(this);
    return resumingFrom(sdk, this.#sessionStore);
  }

  /**
   * Takes in a conversation that an earlier release kept under this project key of another store, and removes it there.
   * Returns whether nothing is left there.
   *
   * @throws CastellanError `JOURNAL_UNAVAILABLE`, `DATABASE_UNAVAILABLE`
   */
  async takeIn(conversationId: string, projectKey: string): Promise<boolean> {
    const [store, writer] = [this.#journal.transcripts, this.#writing.writer];
    const former = formerOf(store);
    if (former === undefined || writer === undefined) return false;
    const key = { projectKey, sessionId: conversationId };
    const heads = (await store?.of(conversationId)) ?? [];
    for (const subpath of [...(await former.listSubkeys(key)), undefined]) {
      const entries = (await former.load({ ...key, ...withoutUndefined({ subpath }) })) ?? [];
      // An application that died in between may have taken a part in.
      const head = heads.find((one) => one.subpath === subpath);
      for (const some of piecesOf(entriesAfter(entries, head?.lastUuid))) {
        const lastUuid = some.findLast(({ uuid }) => typeof uuid === "string")?.uuid;
        await this.#write(this.#session, { conversationId, ...withoutUndefined({ subpath }) }, linesOf(some), lastUuid);
      }
    }
    await former.delete(key);
    return true;
  }

  /**
   * Makes the journal and the files at `to` equal: the journal receives what only the files have, and then the files
   * what only the journal has. If each has something that the other lacks, the journal's are kept. With a shared
   * journal, the files get what the journal has, until this session's own processes have written them. No process may
   * use the conversation.
   *
   * @param from where an earlier process kept the transcript, if elsewhere on this machine
   * @param adopts whether the journal receives a conversation of which it has nothing
   * @throws CastellanError `JOURNAL_UNAVAILABLE`; Error of the file system
   */
  async settle(
    conversationId: string,
    {
      from,
      to,
      adopts,
    }: { readonly from?: TranscriptLocation | undefined; readonly to: TranscriptLocation; readonly adopts: boolean },
  ): Promise<void> {
    const { transcripts: store } = this.#journal;
    if (store === undefined) return;
    const before = this.#settling ?? Promise.resolve();
    const settled = before.then(() => this.#settle(store, conversationId, { from, to, adopts }));
    const settling = settled.catch(() => {});
    this.#settling = settling;
    try {
      await settled;
    } finally {
      if (this.#settling === settling) this.#settling = undefined;
    }
  }

  async #settle(
    store: TranscriptStore,
    conversationId: string,
    {
      from,
      to,
      adopts,
    }: { readonly from: TranscriptLocation | undefined; readonly to: TranscriptLocation; readonly adopts: boolean },
  ): Promise<void> {
    const writer = this.#writing.writer;
    if (writer === undefined) return;
    this.#incomplete = (this.#incomplete ?? new Set()).add(conversationId);
    const isOwn = !this.#journal.isShared || this.#own?.has(conversationId) === true;
    // Without the journal, a session works on with its file; the next settling makes up for it.
    if (isOwn && writer.fault !== undefined && (await transcriptAt(conversationId, to)) !== undefined) return;
    await writer.settled();
    let heads = await store.of(conversationId);
    const places = from === undefined ? [to] : [from, to];
    for (const place of places) {
      const file = await transcriptAt(conversationId, place);
      const isKnown = heads.some(({ subpath }) => subpath === undefined);
      if (file === undefined || !(isKnown ? isOwn : adopts && place === to)) continue;
      if (await this.#adopt(conversationId, file, heads)) heads = await store.of(conversationId);
    }
    await this.#restore(store, conversationId, to, { heads, exact: !isOwn });
    this.#own = (this.#own ?? new Set()).add(conversationId);
    this.#incomplete?.delete(conversationId);
  }

  /** Writes to the journal what only the files have. Returns whether there was anything. */
  async #adopt(conversationId: string, main: string, heads: readonly TranscriptHead[]): Promise<boolean> {
    const own = heads.find(({ subpath }) => subpath === undefined);
    const missing = linesAfter(main, own?.lastUuid);
    let adopted = false;
    const session = own?.session ?? this.#session;
    for await (const { lines, lastUuid } of missing) {
      // Without a message among them, they are what Claude Code repeats at each end.
      if (own !== undefined && lastUuid === undefined && !adopted) continue;
      await this.#write(session, { conversationId }, lines, lastUuid);
      adopted = true;
    }
    if (!adopted) return false;
    const subagents = (await transcriptFiles(main)).filter(({ subpath }) => subpath !== undefined);
    for (const file of subagents) await this.#adoptSubagent(session, conversationId, main, file, heads);
    return true;
  }

  async #adoptSubagent(
    session: string,
    conversationId: string,
    main: string,
    { subpath = "", path }: TranscriptFile,
    heads: readonly TranscriptHead[],
  ): Promise<void> {
    const head = heads.find((one) => one.subpath === subpath);
    const description = head === undefined ? await descriptionLine(main, subpath) : undefined;
    if (description !== undefined) await this.#write(session, { conversationId, subpath }, description, undefined);
    for await (const { lines, lastUuid } of linesAfter(path, head?.lastUuid)) {
      await this.#write(session, { conversationId, subpath }, lines, lastUuid);
    }
  }

  async #write(session: string, key: TranscriptKey, lines: string, lastUuid: string | undefined): Promise<void> {
    const part = { session, ...key, lines, ...withoutUndefined({ lastUuid }) };
    await this.#writing.writer?.write([{ type: "transcript_appended", part }], { session: this.#session });
  }

  /** Writes to the files what only the journal has. `exact`: also removes messages that only the files have. */
  async #restore(
    store: TranscriptStore,
    conversationId: string,
    to: TranscriptLocation,
    { heads, exact }: { readonly heads: readonly TranscriptHead[]; readonly exact: boolean },
  ): Promise<void> {
    const own = heads.find(({ subpath }) => subpath === undefined);
    // Without a message, there is no conversation to resume.
    if (own?.lastUuid === undefined) return;
    const present = await transcriptAt(conversationId, to);
    if (present !== undefined && (await isIn(present, own.lastUuid))) {
      if (!exact || !(await hasMessageAfter(present, own.lastUuid))) return;
    }
    const main = present ?? join(await transcriptFolderOf(to), `${conversationId}.jsonl`);
    // The conversation's own comes last, so that it always has the others.
    for (const { subpath, lastUuid } of heads.toReversed()) {
      if (subpath !== undefined && (await isIn(transcriptFile(main, subpath), lastUuid))) continue;
      const key = { conversationId, ...withoutUndefined({ subpath }) };
      const lines = await linkedLines(() => store.lines(key));
      await restoreTranscript(main, { lines, ...withoutUndefined({ subpath }) });
    }
  }

  async #ownHead(conversationId: string): Promise<TranscriptHead | undefined> {
    const heads = (await this.#journal.transcripts?.of(conversationId)) ?? [];
    return heads.find(({ subpath }) => subpath === undefined);
  }
}

/** Whether a file, which may be missing, has the message. */
async function isIn(file: string, uuid: string | undefined): Promise<boolean> {
  return uuid !== undefined && (await transcriptHas(file, [uuid]).catch(() => false));
}

/** Whether a transcript goes on after a message that it has. */
async function hasMessageAfter(file: string, uuid: string): Promise<boolean> {
  for await (const { lastUuid } of linesAfter(file, uuid)) if (lastUuid !== undefined) return true;
  return false;
}

function linesOf(entries: readonly SessionStoreEntry[]): string {
  return entries.map((entry) => `${JSON.stringify(entry)}\n`).join("");
}

/** Returns the entries after the one with this id; none if there is no such entry. */
function entriesAfter(entries: readonly SessionStoreEntry[], uuid: string | undefined): readonly SessionStoreEntry[] {
  if (uuid === undefined) return entries;
  const at = entries.findLastIndex((entry) => entry.uuid === uuid);
  return at === -1 ? [] : entries.slice(at + 1);
}

/** The most entries in a part that is taken in. */
const PART = 50;

function piecesOf(entries: readonly SessionStoreEntry[]): SessionStoreEntry[][] {
  return Array.from({ length: Math.ceil(entries.length / PART) }, (_, at) => entries.slice(at * PART, (at + 1) * PART));
}

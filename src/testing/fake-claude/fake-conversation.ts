import { randomUUID } from "node:crypto";
import type { FakeArguments } from "./fake-arguments.ts";
import { FakeCosts } from "./fake-costs.ts";
import type { WireObject } from "./fake-wire.ts";

/** A message of a conversation, as the fake remembers it. */
export interface FakeEntry {
  readonly uuid: string;
  readonly role: "user" | "assistant";
  readonly text: string;
}

/** An entry of a transcript. Claude Code's own messages, such as API errors, are not sent to the model. */
interface WrittenEntry extends FakeEntry {
  readonly synthetic?: boolean;
  /** Whether the entry is the prompt of a caller. */
  readonly asked?: boolean;
}

/** A transcript file: entries and costs. */
interface Transcript {
  readonly cwd: string;
  readonly entries: readonly WrittenEntry[];
  readonly costs: FakeCosts;
}

/** Why a process cannot start with the given conversation. */
export interface FakeRefusal {
  readonly refused: string;
  /** Whether the real process reports it in a result too, not only on standard error. */
  readonly asResult: boolean;
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** The transcripts that all processes of a fake share, like the processes of one machine. */
export class FakeTranscripts {
  readonly #transcripts = new Map<string, Transcript>();

  entries(sessionId: string): readonly FakeEntry[] {
    return rememberedOf(this.#transcripts.get(sessionId)?.entries ?? []);
  }

  /** Opens the conversation of a process with these arguments, by the rules of the real process. */
  open(args: FakeArguments, cwd: string): FakeConversation | FakeRefusal {
    const { sessionId, forkSession } = args;
    const resume = args.resume ?? (args.continueLast ? this.#latest(cwd) : undefined);
    if (sessionId !== undefined) {
      if (!UUID.test(sessionId)) return onStderr("Error: Invalid session ID. Must be a valid UUID.");
      if ((args.resume !== undefined || args.continueLast) && !forkSession) {
        return onStderr("Error: --session-id with --continue or --resume also needs --fork-session.");
      }
      if (this.#transcripts.has(sessionId)) return onStderr(`Error: Session ID ${sessionId} is already in use.`);
    }
    if (resume === undefined)
      return this.#conversation(sessionId ?? randomUUID(), cwd, [], new FakeCosts(), args.persist);
    const known = this.#transcripts.get(resume);
    if (known === undefined)
      return inResult(UUID.test(resume) ? `No conversation found with session ID: ${resume}` : noTitle(resume));
    const entries = known.entries.slice();
    if (args.resumeSessionAt !== undefined) {
      const at = entries.findIndex((entry) => entry.uuid === args.resumeSessionAt);
      if (at < 0) return inResult(`No message found with message.uuid of: ${args.resumeSessionAt}`);
      entries.length = at + 1;
    } else if (entries.at(-1)?.role === "user") {
      // The real process adds this to an interrupted turn, so that roles alternate.
      entries.push({ uuid: randomUUID(), role: "assistant", text: "No response requested." });
    }
    const id = forkSession ? (sessionId ?? randomUUID()) : resume;
    return this.#conversation(id, cwd, entries, known.costs.copy(), args.persist, resume);
  }

  /** The empty conversation after a `/clear`. It can be resumed at once, because its transcript has the command. */
  fresh(cwd: string, persist: boolean): FakeConversation {
    const conversation = this.#conversation(randomUUID(), cwd, [], new FakeCosts(), persist);
    conversation.save();
    return conversation;
  }

  #latest(cwd: string): string | undefined {
    return [...this.#transcripts].findLast(([, transcript]) => transcript.cwd === cwd)?.[0];
  }

  #conversation(
    id: string,
    cwd: string,
    entries: WrittenEntry[],
    costs: FakeCosts,
    persist: boolean,
    resumedFrom?: string,
  ): FakeConversation {
    const write = (entries: readonly WrittenEntry[]): void => {
      if (!persist) return;
      this.#transcripts.delete(id);
      this.#transcripts.set(id, { cwd, entries, costs });
    };
    return new FakeConversation(id, entries, costs, resumedFrom, write);
  }
}

/**
 * A conversation as one process has it. The transcript is written with the first message: like the real Claude Code, the fake has no
 * transcript of a session that was never prompted, and cannot resume it.
 */
export class FakeConversation {
  readonly id: string;
  #entries: WrittenEntry[];
  readonly costs: FakeCosts;
  readonly resumedFrom: string | undefined;
  readonly #write: (entries: readonly WrittenEntry[]) => void;

  constructor(
    id: string,
    entries: WrittenEntry[],
    costs: FakeCosts,
    resumedFrom: string | undefined,
    write: (entries: readonly WrittenEntry[]) => void,
  ) {
    this.id = id;
    this.#entries = entries;
    this.costs = costs;
    this.resumedFrom = resumedFrom;
    this.#write = write;
  }

  /** Writes the transcript. */
  save(): void {
    this.#write(this.#entries);
  }

  /**
   * Forgets a prompt and everything after it, in this process only. The transcript changes with the next message.
   *
   * @param lastSeen the last prompt of a caller that the host has seen; the request is refused if there is a later one
   * @returns the answer, as of the real process
   */
  rewind(promptId: string, lastSeen: string): WireObject {
    const at = this.#entries.findIndex(({ uuid }) => uuid === promptId);
    const target = this.#entries[at];
    const refused = { rewound: false, prefillText: null, precedingAssistantUuid: null };
    if (target === undefined) return { ...refused, error: "target not found", reason: "target_not_found" };
    const seen = this.#entries.findIndex(({ uuid }) => uuid === lastSeen);
    if (this.#entries.some(({ asked }, index) => asked === true && index > seen)) {
      return { ...refused, error: "unseen later turn", reason: "unseen_later_turn" };
    }
    // A copy, so that the written transcript stays unchanged.
    this.#entries = this.#entries.slice(0, at);
    const precedingAssistantUuid = this.#entries.findLast(({ role }) => role === "assistant")?.uuid ?? null;
    return { rewound: true, targetMessageUuid: promptId, prefillText: target.text, precedingAssistantUuid };
  }

  /** The entries that the model receives. */
  get entries(): readonly FakeEntry[] {
    return rememberedOf(this.#entries);
  }

  append(entry: WrittenEntry): void {
    this.#entries.push(entry);
    this.save();
  }

  /** Replaces all entries except `kept` by a summary. The conversation cannot be cut back to an earlier entry. */
  compact(uuid: string, summary: string, kept: readonly FakeEntry[]): void {
    this.#entries.splice(0, this.#entries.length, { uuid, role: "user", text: summary }, ...kept);
    this.save();
  }

  /** Writes a message of Claude Code itself. */
  note(uuid: string, text: string): void {
    this.#entries.push({ uuid, role: "assistant", text, synthetic: true });
    this.save();
  }
}

function rememberedOf(entries: readonly WrittenEntry[]): readonly FakeEntry[] {
  return entries.filter(({ synthetic }) => synthetic !== true);
}

function onStderr(refused: string): FakeRefusal {
  return { refused, asResult: false };
}

function inResult(refused: string): FakeRefusal {
  return { refused, asResult: true };
}

function noTitle(resume: string): string {
  return `Error: --resume requires a valid session ID or session title when used with --print. Usage: claude -p --resume <session-id|title>. Provided value "${resume}" is not a UUID and does not match any session title.`;
}

import { randomUUID } from "node:crypto";
import type { FakeArguments } from "./fake-arguments.ts";
import { FakeCosts } from "./fake-costs.ts";
import type { WireObject } from "./fake-wire.ts";

/** One thing said in a conversation, as the fake remembers it. */
export interface FakeEntry {
  readonly uuid: string;
  readonly role: "user" | "assistant";
  readonly text: string;
}

/** What stands in a transcript. Of what Claude Code says by itself, such as an error of the API, the model is told nothing. */
interface WrittenEntry extends FakeEntry {
  readonly synthetic?: boolean;
  /** Whether it is the prompt of a caller. */
  readonly asked?: boolean;
}

/** What Claude Code keeps in a transcript file: what was said, and what it has cost. */
interface Transcript {
  readonly cwd: string;
  readonly entries: readonly WrittenEntry[];
  readonly costs: FakeCosts;
}

/** Why a process cannot begin with the conversation that it was given. */
export interface FakeRefusal {
  readonly refused: string;
  /** Whether the real process says it in a result too, or only on standard error. */
  readonly asResult: boolean;
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** The transcripts that all processes of one fake share, as those of one machine share a directory. */
export class FakeTranscripts {
  readonly #transcripts = new Map<string, Transcript>();

  entries(sessionId: string): readonly FakeEntry[] {
    return rememberedOf(this.#transcripts.get(sessionId)?.entries ?? []);
  }

  /** The conversation that a process with these arguments begins with, by the rules of the real one. */
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
      // What the real one adds to a turn that was cut, so that the roles still alternate.
      entries.push({ uuid: randomUUID(), role: "assistant", text: "No response requested." });
    }
    const id = forkSession ? (sessionId ?? randomUUID()) : resume;
    return this.#conversation(id, cwd, entries, known.costs.copy(), args.persist, resume);
  }

  /** The empty conversation after a `/clear`. It can be resumed at once, since the command itself stands in its transcript. */
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
 * One process's hold on a conversation. It is written when something is said, not before: the real Claude Code has no transcript of a
 * session that was never prompted, and cannot resume it.
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
   * Forgets a prompt and all that followed on it, in this process only: what is written changes when something new is said.
   *
   * @param lastSeen the last prompt of a caller that the host knows of; a later one is not forgotten unseen
   * @returns the answer of the real one
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
    // A copy: what was written is as it was.
    this.#entries = this.#entries.slice(0, at);
    const precedingAssistantUuid = this.#entries.findLast(({ role }) => role === "assistant")?.uuid ?? null;
    return { rewound: true, targetMessageUuid: promptId, prefillText: target.text, precedingAssistantUuid };
  }

  /** What the model is told. */
  get entries(): readonly FakeEntry[] {
    return rememberedOf(this.#entries);
  }

  append(entry: WrittenEntry): void {
    this.#entries.push(entry);
    this.save();
  }

  /** Puts a summary in the place of all that was said but `kept`; nothing before it can be gone back to. */
  compact(uuid: string, summary: string, kept: readonly FakeEntry[]): void {
    this.#entries.splice(0, this.#entries.length, { uuid, role: "user", text: summary }, ...kept);
    this.save();
  }

  /** Writes what Claude Code says by itself. */
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

import type { FakeArguments } from "./fake-arguments.ts";
import type { FakeTranscripts } from "./fake-conversation.ts";
import type { FakeClaudeOptions } from "./fake-options.ts";
import type { FakeProcess, FakeScript } from "./fake-turn.ts";

/** The fake that owns a process. */
export interface FakeOwner {
  readonly script: FakeScript;
  readonly options: FakeClaudeOptions;
  readonly transcripts: FakeTranscripts;
  failed(error: unknown): void;
  started(process: FakeProcess): void;
  prompted(process: FakeProcess, prompt: string): void;
  nextTurn(): number;
}

/** A turn that the fake process begins by itself. */
export interface FakeUnprompted {
  readonly script: FakeScript;
  readonly origin: "task" | "schedule";
}

/** The process that runs a simulated Claude Code: its arguments, standard streams and exit. */
export interface FakeProcessHandle extends FakeProcess {
  readonly arguments: FakeArguments;
  /** Whether the reader of standard output is behind. */
  readonly full: boolean;
  written(): Promise<void>;
  /** Writes to standard error. */
  writeStderr(text: string): void;
}

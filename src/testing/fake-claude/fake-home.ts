import type { FakeArguments } from "./fake-arguments.ts";
import type { FakeTranscripts } from "./fake-conversation.ts";
import type { FakeClaudeOptions } from "./fake-options.ts";
import type { FakeProcess, FakeScript } from "./fake-turn.ts";

/** The fake that a process belongs to. */
export interface FakeHome {
  readonly script: FakeScript;
  readonly options: FakeClaudeOptions;
  readonly transcripts: FakeTranscripts;
  failed(error: unknown): void;
  started(process: FakeProcess): void;
  prompted(process: FakeProcess, prompt: string): void;
  nextTurn(): number;
}

/** A turn that a fake process begins by itself. */
export interface FakeUnprompted {
  readonly script: FakeScript;
  readonly origin: "task" | "schedule";
}

/** The process around a Claude Code: its arguments, its standard streams, its end. */
export interface FakeBody extends FakeProcess {
  readonly arguments: FakeArguments;
  /** Whether the reader of standard output is behind. */
  readonly full: boolean;
  written(): Promise<void>;
  /** Says something on standard error. */
  complain(text: string): void;
}

import type { SpawnOptions } from "@anthropic-ai/claude-agent-sdk";
import { Milestones } from "../milestones.ts";
import type { FakeSpawnedProcess } from "./fake-child.ts";
import { type FakeEntry, FakeTranscripts } from "./fake-conversation.ts";
import type { FakeClaudeOptions } from "./fake-options.ts";
import type { FakeProcess, FakeScript } from "./fake-turn.ts";
import { SimulatedProcess } from "./simulated-process.ts";

/** Far above the process ids of Linux, macOS and Windows. */
const FIRST_PID = 10_000_000;

/** A prompt that a fake process received. */
export interface FakePrompt {
  readonly prompt: string;
  readonly process: FakeProcess;
}

/** A fake Claude Code: any number of processes that share their transcripts, like the processes of one machine. */
export interface FakeClaude {
  /** The `spawnClaudeCodeProcess` option of the sessions under test. */
  readonly spawn: (options: SpawnOptions) => FakeSpawnedProcess;
  /** All processes ever started, in order. */
  readonly processes: readonly FakeProcess[];
  /** The processes that have not ended. */
  readonly running: readonly FakeProcess[];
  /** The errors thrown by scripts, `startup` and `afterResult`. Check that it is empty at the end of a test. */
  readonly errors: readonly unknown[];
  /** The entries of a conversation; empty if it does not exist. */
  transcript(sessionId: string): readonly FakeEntry[];
  /** Resolves once the `n`-th handshake is done, counted from 1 over all processes. */
  started(n: number): Promise<FakeProcess>;
  /** Resolves once the `n`-th prompt has arrived, counted from 1 over all processes. */
  prompted(n: number): Promise<FakePrompt>;
}

/**
 * Creates a fake Claude Code that runs in this process, without a binary or a network. The real Agent SDK drives it: parsing, control
 * protocol and exit handling run. It sends the messages of Claude Code 2.1.332, and can crash, hang, flood and refuse.
 *
 * @param script the behaviour in each turn. Default: answers `You said: …`
 *
 * @example
 * const fake = fakeClaude(async (turn) => {
 *   if (turn.prompt === "die") await turn.crash({ signal: "SIGKILL" });
 *   await turn.text(`Hello for the ${turn.history.length / 2 + 1}. time`);
 * });
 * const answers = query({ prompt: "hi", options: { spawnClaudeCodeProcess: fake.spawn } });
 */
export function fakeClaude(script: FakeScript = echo, options: FakeClaudeOptions = {}): FakeClaude {
  const processes: SimulatedProcess[] = [];
  const errors: unknown[] = [];
  const transcripts = new FakeTranscripts();
  const started = new Milestones<FakeProcess>();
  const prompted = new Milestones<FakePrompt>();
  let turns = 0;
  const owner = {
    script,
    options,
    transcripts,
    failed: (error: unknown) => errors.push(error),
    started: (process: FakeProcess) => started.reach(process),
    prompted: (process: FakeProcess, prompt: string) => prompted.reach({ process, prompt }),
    nextTurn: () => {
      turns += 1;
      return turns - 1;
    },
  };
  return {
    spawn: (spawnOptions) => {
      const process = new SimulatedProcess(owner, FIRST_PID + processes.length, spawnOptions);
      processes.push(process);
      void process.start(processes.length);
      return process.child;
    },
    processes,
    get running() {
      return processes.filter((process) => process.state === "running");
    },
    errors,
    transcript: (sessionId) => transcripts.entries(sessionId),
    started: (n) => started.reached(n),
    prompted: (n) => prompted.reached(n),
  };
}

const echo: FakeScript = async (turn) => {
  await turn.text(`You said: ${turn.prompt}`);
};

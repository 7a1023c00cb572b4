import type { SpawnOptions } from "@anthropic-ai/claude-agent-sdk";
import { Milestones } from "../milestones.ts";
import type { FakeSpawnedProcess } from "./fake-child.ts";
import { type FakeEntry, FakeTranscripts } from "./fake-conversation.ts";
import type { FakeClaudeOptions } from "./fake-options.ts";
import type { FakeProcess, FakeScript } from "./fake-turn.ts";
import { SimulatedProcess } from "./simulated-process.ts";

/** Far above the highest process id that Linux, macOS or Windows give. */
const FIRST_PID = 10_000_000;

/** A prompt that has reached a fake process. */
export interface FakePrompt {
  readonly prompt: string;
  readonly process: FakeProcess;
}

/** A fake Claude Code: any number of processes that share what they remember, as those of one machine do. */
export interface FakeClaude {
  /** Give this to the sessions under test, as their `spawnClaudeCodeProcess`. */
  readonly spawn: (options: SpawnOptions) => FakeSpawnedProcess;
  /** Every process ever started, in order. */
  readonly processes: readonly FakeProcess[];
  /** Those that have not ended. */
  readonly running: readonly FakeProcess[];
  /** What scripts, `startup` and `afterResult` have thrown. Check that it is empty at the end of a test. */
  readonly errors: readonly unknown[];
  /** What is remembered of a conversation; empty if it is not known. */
  transcript(sessionId: string): readonly FakeEntry[];
  /** Resolves when the `n`-th handshake is done, counted from 1 over all processes; at once if it has been. */
  started(n: number): Promise<FakeProcess>;
  /** Resolves when the `n`-th prompt has arrived, counted from 1 over all processes; at once if it has. */
  prompted(n: number): Promise<FakePrompt>;
}

/**
 * A fake Claude Code that runs in this process and is driven by the real Agent SDK: its parsing, control protocol and exit handling run,
 * no binary and no network. It says what Claude Code 2.1.332 says, and can be made to crash, hang, flood and refuse.
 *
 * @param script What it does with every turn. Default: it answers `You said: …`.
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
  const home = {
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
      const process = new SimulatedProcess(home, FIRST_PID + processes.length, spawnOptions);
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

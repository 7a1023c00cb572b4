import { randomUUID } from "node:crypto";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { SessionDefaults } from "../../src/session/options/options.ts";
import { type FakeTurn, fakeClaude, mockApi } from "../../src/testing/index.ts";
import { KeyedModel, NOTICED } from "../real/keyed-model.ts";
import { commandOf, processesWith } from "../real/processes.ts";
import { type ApiFailure, ApiFailures } from "./api-failures.ts";
import { SmallDisk } from "./small-disk.ts";

/** How often the model was asked about one key, and answered. */
export interface ModelCounts {
  readonly prompts: number;
  readonly answers: number;
}

/** The environment that processes run in, and what it records. */
export interface ChaosTarget extends AsyncDisposable {
  readonly name: "fake" | "real";
  readonly defaults: SessionDefaults;
  /** The disks that can fill up. */
  readonly disks: { readonly journal: SmallDisk; readonly transcripts?: SmallDisk };
  readonly model: ReadonlyMap<string, ModelCounts>;
  /** Prompts that occurred twice in a conversation. */
  readonly doubled: readonly string[];
  /** The keys that commands appended. */
  readonly appended: readonly string[];
  /** The highest number of processes at one time, if known. */
  readonly mostProcesses: number;
  signal(pid: number, signal: NodeJS.Signals): void;
  /** Kills one of the MCP servers that the processes started, if there is one. */
  killServer(random: () => number): void;
  /** Makes the API fail the next request, if one comes within that many milliseconds. */
  failNext(failure: ApiFailure, withinMs: number): void;
  /** Returns the defects of the transcripts on disk. */
  transcriptFaults(): string[];
  /** Returns the pids of processes that still run. */
  left(): readonly number[];
}

/** An MCP server that outlives the process that started it. */
const MCP_SERVER = fileURLToPath(new URL("../real/mcp-server.ts", import.meta.url));

/** More than five minutes of writes need. */
const DISK_MEGABYTES = 64;

const PROMPT = /^(say|talk|append|background) (k\d+)$/;

/** Fake processes inside this process. `now` is the time of the API's failures, in milliseconds. */
export function fakeTarget(now: () => number = () => performance.now()): ChaosTarget {
  const model = new Map<string, { prompts: number; answers: number }>();
  const doubled: string[] = [];
  const appended: string[] = [];
  const failures = new ApiFailures(now);
  let most = 0;
  const script = async (turn: FakeTurn): Promise<void> => {
    most = Math.max(most, fake.running.length);
    const [, what = "", key = ""] = PROMPT.exec(turn.prompt) ?? [];
    const asked = model.get(key) ?? { prompts: 0, answers: 0 };
    model.set(key, asked);
    asked.prompts += 1;
    if (turn.history.some(({ text }) => text === turn.prompt)) doubled.push(key);
    const failure = failures.take();
    if (failure !== undefined) {
      await turn.fail(failure);
      return;
    }
    await pause(turn.signal, what === "talk" ? 60 : 5);
    if (what === "append") {
      await turn.hook("PreToolUse", { tool_name: "Bash", tool_input: {}, tool_use_id: "toolu" });
      appended.push(key);
      await turn.toolUse("Bash", { command: `echo ${key}` });
    }
    if (what === "background") backgroundTask(turn);
    asked.answers += 1;
    await turn.text(`${key} answer ${asked.answers}`);
  };
  const fake = fakeClaude(script);
  const journal = new SmallDisk(DISK_MEGABYTES);
  return {
    name: "fake",
    defaults: { spawnClaudeCodeProcess: fake.spawn },
    disks: { journal },
    model,
    doubled,
    appended,
    get mostProcesses() {
      return most;
    },
    signal: (pid, signal) => fake.processes.find((process) => process.pid === pid)?.kill(signal),
    killServer: () => {},
    failNext: (failure, withinMs) => failures.add(failure, withinMs),
    transcriptFaults: () => fake.errors.map((error) => `a script threw ${String(error)}`),
    left: () => fake.running.map(({ pid }) => pid),
    [Symbol.asyncDispose]: async () => journal[Symbol.dispose](),
  };
}

/** The real Claude Code, on a mock of the model's API. */
export async function realTarget(): Promise<ChaosTarget> {
  const api = await mockApi();
  const file = join(api.cwd, "appended.txt");
  writeFileSync(file, "");
  const model = new KeyedModel(file, () => {});
  model.serve(api);
  const failures = new ApiFailures(() => performance.now());
  api.reply(
    () => failures.any,
    () => ({ error: failures.take() ?? { status: 500, message: "chaos" } }),
  );
  const journal = new SmallDisk(DISK_MEGABYTES);
  const transcripts = new SmallDisk(DISK_MEGABYTES);
  const config = transcripts.folder;
  const env = { ...api.env, CLAUDE_CONFIG_DIR: config };
  const server = { command: process.execPath, args: [MCP_SERVER, config] };
  return {
    name: "real",
    defaults: {
      env,
      cwd: api.cwd,
      allowedTools: ["Bash"],
      mcpServers: { stubborn: server },
      // A conversation that began on a full disk is missing after a crash.
      onMissingConversation: "fresh",
    },
    disks: { journal, transcripts },
    get model() {
      return model.turns;
    },
    get doubled() {
      return [...model.doubled.keys()];
    },
    get appended() {
      return readFileSync(file, "utf8").split("\n").filter(Boolean);
    },
    mostProcesses: 0,
    signal: kill,
    killServer: (random) => {
      const servers = processesWith(config).filter((pid) =>
        commandOf(pid).startsWith(`${process.execPath} ${MCP_SERVER}`),
      );
      const pid = servers[Math.floor(random() * servers.length)];
      if (pid !== undefined) kill(pid, "SIGKILL");
    },
    failNext: (failure, withinMs) => failures.add(failure, withinMs),
    transcriptFaults: () => transcriptFaults(join(config, "projects"), transcripts.wasFull),
    left: () => processesWith(`CLAUDE_CONFIG_DIR=${config}`),
    [Symbol.asyncDispose]: async () => {
      await api[Symbol.asyncDispose]();
      for (const disk of [journal, transcripts]) disk[Symbol.dispose]();
    },
  };
}

function kill(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // The process has exited.
  }
}

/** Checks that each line of each transcript is valid JSON and was written once. */
function transcriptFaults(folder: string, wasFull: boolean): string[] {
  const files = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".jsonl"));
  return files.flatMap((name) => {
    const seen = new Set<string>();
    const lines = readFileSync(join(folder, name), "utf8").split("\n").filter(Boolean);
    return lines.flatMap((line, index) => {
      let entry: { readonly sessionId?: string; readonly uuid?: string };
      try {
        entry = JSON.parse(line);
      } catch {
        // A killed process may leave half a line behind, at the end or where the next process appended. A full disk
        // does so anywhere.
        return index === lines.length - 1 || line.includes('}{"') || wasFull
          ? []
          : [`${name}:${index + 1} is no JSON: ${line.slice(0, 80)}`];
      }
      if (entry.uuid === undefined) return [];
      const twice = seen.has(entry.uuid);
      seen.add(entry.uuid);
      return twice ? [`${name}:${index + 1} stands there twice: ${entry.uuid}`] : [];
    });
  });
}

/** Starts a background task in the turn. When the task ends, the process begins a turn of its own. */
function backgroundTask(turn: FakeTurn): void {
  const { process } = turn;
  const task_id = `task-${turn.index}`;
  const tell = (message: object): void => {
    process.write(
      `${JSON.stringify({ type: "system", session_id: process.sessionId, uuid: randomUUID(), ...message })}\n`,
    );
  };
  const tasks = [{ task_id, task_type: "local_bash", description: "Wait" }];
  tell({ subtype: "background_tasks_changed", tasks });
  void pause(new AbortController().signal, 40).then(() => {
    if (process.state === "exited") return;
    tell({ subtype: "task_notification", task_id, status: "completed" });
    tell({ subtype: "background_tasks_changed", tasks: [] });
    process.beginTurn(async (own) => {
      await pause(own.signal, 20);
      await own.text(NOTICED);
    });
  });
}

/** Waits that long, or until the signal aborts. */
async function pause(signal: AbortSignal, ms: number): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, ms);
  signal.addEventListener("abort", () => resolve(), { once: true });
  await promise;
  clearTimeout(timer);
}

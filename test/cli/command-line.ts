import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";

const MAIN = join(import.meta.dirname, "../../src/cli/main.ts");

/** The end of a command. */
export interface CommandResult {
  readonly code: number | null;
  readonly signal: string | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A command of `castellan` that runs. */
export class RunningCommand {
  readonly child: ChildProcess;
  readonly ended: Promise<CommandResult>;
  #stdout = "";
  #stderr = "";

  constructor(args: readonly string[], { cwd, env = {} }: { readonly cwd: string; readonly env?: NodeJS.ProcessEnv }) {
    const environment = { ...process.env, NO_COLOR: "1", CASTELLAN_URL: "", CASTELLAN_TOKEN: "", ...env };
    this.child = spawn(process.execPath, [MAIN, ...args], { cwd, env: environment, stdio: ["pipe", "pipe", "pipe"] });
    this.child.stdout?.on("data", (data) => {
      this.#stdout += data;
    });
    this.child.stderr?.on("data", (data) => {
      this.#stderr += data;
    });
    this.ended = once(this.child, "close").then(([code, signal]) => ({
      code,
      signal,
      stdout: this.#stdout,
      stderr: this.#stderr,
    }));
  }

  /** Resolves with the first line of the output. Rejects if the command ends before. */
  async firstLine(): Promise<string> {
    const ended = this.ended.then(({ code, stderr }) => {
      throw new Error(`it ended with ${code}: ${stderr}`);
    });
    for (;;) {
      const [line, rest] = this.#stdout.split("\n", 2);
      if (rest !== undefined && line !== undefined) return line;
      await Promise.race([once(this.child.stdout ?? this.child, "data"), ended]);
    }
  }
}

/** Runs a command to its end. */
export async function castellan(
  args: readonly string[],
  options: { readonly cwd: string; readonly env?: NodeJS.ProcessEnv; readonly input?: string },
): Promise<CommandResult> {
  const command = new RunningCommand(args, options);
  command.child.stdin?.end(options.input ?? "");
  return await command.ended;
}

/** A folder with these files, removed when the test ends. */
export async function commandFolder(files: Readonly<Record<string, string>> = {}): Promise<string> {
  const cwd = await mkdtemp(join(tmpdir(), "castellan-cli-"));
  onTestFinished(() => rm(cwd, { recursive: true, force: true }));
  for (const [name, text] of Object.entries(files)) await writeFile(join(cwd, name), text);
  return cwd;
}

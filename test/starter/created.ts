import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import { ROOT } from "../../scripts/guide.ts";
import type { CommandResult } from "../cli/command-line.ts";

/** The folder of the package `create-castellan`. */
export const STARTER: string = join(ROOT, "packages/create-castellan");

/** An empty folder, removed when the test ends. */
export async function emptyFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "castellan-starter-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 }));
  return folder;
}

/** Runs `create-castellan` without a terminal. */
export async function create(
  cwd: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv = {},
): Promise<CommandResult> {
  return await new Promise((resolve) => {
    const own = { ...process.env, npm_config_user_agent: "", ...env };
    const command = [join(STARTER, "src/main.ts"), ...args];
    const child = execFile(process.execPath, command, { cwd, env: own, maxBuffer: 1e8 }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code), signal: null, stdout, stderr });
    });
    child.stdin?.end();
  });
}

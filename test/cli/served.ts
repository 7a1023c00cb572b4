import { join } from "node:path";
import { onTestFinished, vi } from "vitest";
import type { ChildOptions } from "../../src/application/options/child-options.ts";
import type { SupervisorOptions } from "../../src/application/options/supervisor-options.ts";
import { runProgram } from "../../src/cli/run-program.ts";
import { listen } from "../../src/server/listen.ts";
import type { FakeClaude } from "../../src/testing/index.ts";
import { ServerScene } from "../server/scene.ts";

/** The end of a command that ran in this process. */
interface InProcessResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** A server on a fake, and the command line that asks it. */
export interface ServedScene {
  readonly scene: ServerScene;
  readonly url: string;
  /** Runs a command in this process, which saves the time to load it. One at a time. */
  run(...args: string[]): Promise<InProcessResult>;
}

/** Serves a supervisor until the test ends. */
export async function served(
  children: readonly ChildOptions[],
  options?: SupervisorOptions,
  fake?: FakeClaude,
): Promise<ServedScene> {
  const scene = await ServerScene.start(children, options, fake);
  const server = await listen(scene.supervisor, { tokens: join(scene.folder, "no-tokens.jsonl") });
  onTestFinished(async () => {
    await server.close({ deadline: 0 });
    await scene[Symbol.asyncDispose]();
  });
  return { scene, url: server.url, run: (...args) => runHere(args, server.url) };
}

/** Runs a command in this process. One at a time. */
export async function runHere(args: readonly string[], url: string): Promise<InProcessResult> {
  let [stdout, stderr] = ["", ""];
  const spies = [
    vi.spyOn(process.stdout, "write").mockImplementation((text) => {
      stdout += text;
      return true;
    }),
    vi.spyOn(process.stderr, "write").mockImplementation((text) => {
      stderr += text;
      return true;
    }),
    vi.spyOn(console, "log").mockImplementation((text) => {
      stdout += `${text}\n`;
    }),
    vi.spyOn(console, "error").mockImplementation((text) => {
      stderr += `${text}\n`;
    }),
  ];
  const before = process.exitCode;
  vi.stubEnv("CASTELLAN_URL", url);
  vi.stubEnv("NO_COLOR", "1");
  try {
    process.exitCode = 0;
    await runProgram(["node", "castellan", ...args]);
    return { code: Number(process.exitCode), stdout, stderr };
  } finally {
    process.exitCode = before;
    vi.unstubAllEnvs();
    for (const spy of spies) spy.mockRestore();
  }
}

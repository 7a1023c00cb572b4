import { mkdir, mkdtemp, realpath, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A temporary home and working directory. */
export interface MockHome {
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  remove(): Promise<void>;
}

/** Creates the directories, and the environment that points the real Claude Code to them and to the API at `url`. */
export async function makeMockHome(url: string, retries: number): Promise<MockHome> {
  const root = await realpath(await mkdtemp(join(tmpdir(), "castellan-mock-")));
  const home = join(root, "home");
  const cwd = join(root, "work");
  await Promise.all([mkdir(join(home, ".claude"), { recursive: true }), mkdir(cwd)]);
  return {
    cwd,
    env: {
      PATH: process.env["PATH"] ?? "/usr/local/bin:/usr/bin:/bin",
      HOME: home,
      CLAUDE_CONFIG_DIR: join(home, ".claude"),
      ANTHROPIC_BASE_URL: url,
      ANTHROPIC_API_KEY: "sk-ant-mock",
      CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: "1",
      CLAUDE_CODE_MAX_RETRIES: String(retries),
      DISABLE_AUTOUPDATER: "1",
      DISABLE_TELEMETRY: "1",
      DISABLE_ERROR_REPORTING: "1",
    },
    // Retries, because an ending process may still write there.
    remove: () => rm(root, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 }),
  };
}

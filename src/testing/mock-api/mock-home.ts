import { mkdir, mkdtemp, realpath, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A home and a working directory that nobody else uses. */
export interface MockHome {
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  remove(): Promise<void>;
}

/** Makes the directories, and the environment in which the real Claude Code finds them and the API at `url`. */
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
    // A process that is just ending may still write its last line there.
    remove: () => rm(root, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 }),
  };
}

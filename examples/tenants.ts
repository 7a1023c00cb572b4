import { spawn } from "node:child_process";
import { mkdir, writeFile } from "node:fs/promises";
import { userInfo } from "node:os";
import { basename, join } from "node:path";
import type { Options, SpawnOptions } from "@anthropic-ai/claude-agent-sdk";
import {
  query,
  type Reply,
  type SessionDefaults,
  Supervisor,
  type SupervisorOptions,
  session,
  template,
} from "castellan";

// #region start
export async function startTenants(
  root: string,
  keyOf: (tenant: string) => string,
  options: SupervisorOptions = {},
): Promise<Supervisor> {
  return await Supervisor.start(
    [
      template("support", (tenant: string, user: string) => ({
        systemPrompt: `You help ${user}`,
        isolate: { root },
        apiKey: keyOf(tenant),
        allowedTools: ["Read", "Write", "Edit"],
        budget: { usd: 5, per: "day" },
      })),
    ],
    options,
  );
}

export async function ask(tenant: string, user: string, message: string): Promise<Reply> {
  return await query(["support", tenant, user], message, { timeout: "2m" });
}
// #endregion

// #region upload
export async function upload(tenant: string, user: string, name: string, content: Uint8Array): Promise<void> {
  const { cwd } = session(["support", tenant, user]);
  await mkdir(cwd, { recursive: true, mode: 0o700 });
  // "wx" overwrites nothing, and follows no link that a command of the session may have created.
  await writeFile(join(cwd, basename(name)), content, { flag: "wx" });
}
// #endregion

// #region directories
export function inProject(directory: string): SessionDefaults {
  return {
    cwd: directory,
    settings: {
      permissions: { blockReadsOutsideWorkingDirectories: true, blockWritesOutsideWorkingDirectories: true },
    },
  };
}
// #endregion

// #region sandbox
/** In the sandbox, commands do not see the home directory or what `denyRead` lists, and write only in the working directory. */
export function withCommands(root: string): SessionDefaults {
  return {
    isolate: { root },
    tools: ["Bash", "Read", "Write", "Edit"],
    sandbox: {
      enabled: true,
      autoAllowBashIfSandboxed: true,
      allowUnsandboxedCommands: false,
      filesystem: { denyRead: [process.cwd()] },
    },
  };
}
// #endregion

type Spawn = NonNullable<Options["spawnClaudeCodeProcess"]>;

// #region users
/** An account of the machine, used by one tenant only. */
export interface Account {
  readonly uid: number;
  readonly gid: number;
  readonly home: string;
}

/** The application must be allowed to change its user: root, or `CAP_SETUID` and `CAP_SETGID`. */
export function asAccount({ uid, gid, home }: Account): SessionDefaults {
  return {
    cwd: home,
    env: { HOME: home, CLAUDE_CONFIG_DIR: undefined },
    spawnClaudeCodeProcess: ({ command, args, cwd, env }) => spawn(command, args, { cwd, env, uid, gid }),
  };
}
// #endregion

// #region container
/** All data of a session is in its directory, and the container sees nothing else of the machine. */
export function inContainers(root: string, image: string, engine = "docker"): SessionDefaults {
  return {
    isolate: { root },
    env: { CLAUDE_CONFIG_DIR: ".claude" },
    spawnClaudeCodeProcess: (options) => run(options, image, engine),
  };
}

function run({ args, cwd = "", env }: SpawnOptions, image: string, engine: string): ReturnType<Spawn> {
  const { uid, gid } = userInfo();
  const container = ["--user", `${uid}:${gid}`, "--volume", `${cwd}:${cwd}`, "--workdir", cwd];
  // By name only, so that no key appears on a command line.
  const variables = Object.keys(env).filter((name) => /^(ANTHROPIC|CLAUDE|CASTELLAN)_/.test(name));
  const passed = variables.flatMap((name) => ["--env", name]);
  const flags = ["--rm", "--interactive", "--init", ...container, ...passed];
  return spawn(engine, ["run", ...flags, image, "claude", ...args], { env });
}
// #endregion

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
  // "wx" writes over nothing, and follows no link that a command of the session may have put there.
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
/** In a sandbox commands see neither the home directory nor what is listed here, and write only in the working directory. */
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
/** An account of the machine that belongs to one tenant. */
export interface Account {
  readonly uid: number;
  readonly gid: number;
  readonly home: string;
}

/** Needs an application that may change its user: root, or `CAP_SETUID` and `CAP_SETGID`. */
export function asAccount({ uid, gid, home }: Account): SessionDefaults {
  return {
    cwd: home,
    env: { HOME: home, CLAUDE_CONFIG_DIR: undefined },
    spawnClaudeCodeProcess: ({ command, args, cwd, env }) => spawn(command, args, { cwd, env, uid, gid }),
  };
}
// #endregion

// #region container
/** All that a session has is in its directory, which is all that the container has of the machine. */
export function inContainers(root: string, image: string, engine = "docker"): SessionDefaults {
  return {
    isolate: { root },
    env: { CLAUDE_CONFIG_DIR: ".claude" },
    spawnClaudeCodeProcess: (options) => run(options, image, engine),
  };
}

function run({ args, cwd = "", env }: SpawnOptions, image: string, engine: string): ReturnType<Spawn> {
  const { uid, gid } = userInfo();
  const place = ["--user", `${uid}:${gid}`, "--volume", `${cwd}:${cwd}`, "--workdir", cwd];
  // By name only, so that no key stands on a command line.
  const variables = Object.keys(env).filter((name) => /^(ANTHROPIC|CLAUDE|CASTELLAN)_/.test(name));
  const passed = variables.flatMap((name) => ["--env", name]);
  const flags = ["--rm", "--interactive", "--init", ...place, ...passed];
  return spawn(engine, ["run", ...flags, image, "claude", ...args], { env });
}
// #endregion

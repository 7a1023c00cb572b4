import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, realpath, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { PermissionUpdate } from "@anthropic-ai/claude-agent-sdk";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Session, type SessionOptions, Supervisor, session } from "../../src/index.ts";
import type { Approval } from "../../src/session/conversation/approval.ts";
import { type MessagesApi, messagesApi } from "../../src/testing/index.ts";
import { processesWith } from "../real/processes.ts";
import { unique } from "../session-on-fake/scene.ts";
import { type PromptTools, toolModel } from "./acting-model.ts";
import { allowCommand } from "./allowing.ts";

type Options = Omit<SessionOptions, "name">;

let api: MessagesApi;
let folder: string;

beforeEach(async () => {
  api = await messagesApi(toolModel(acts));
  folder = await realpath(await mkdtemp(join(tmpdir(), "castellan-granted-")));
  await mkdir(join(folder, "elsewhere"));
});

afterEach(async () => {
  expect(processesWith(`CLAUDE_CONFIG_DIR=${api.env["CLAUDE_CONFIG_DIR"]}`)).toEqual([]);
  await api.stop();
  await rm(folder, { recursive: true });
});

/** The tool that the model uses for each prompt. */
function acts(): PromptTools {
  return {
    enter: { name: "EnterPlanMode", input: {} },
    exit: { name: "ExitPlanMode", input: { plan: "the plan" } },
    write: { name: "Write", input: { file_path: file("written"), content: "x" } },
    elsewhere: { name: "Write", input: { file_path: join(folder, "elsewhere", "written"), content: "x" } },
    touch: { name: "Bash", input: { command: "touch touched" } },
    remove: { name: "Bash", input: { command: "rm -f touched" } },
    push: { name: "Bash", input: { command: "git push" } },
    peek: { name: "Read", input: { file_path: "/etc/hostname" } },
    wait: { name: "Bash", input: { command: "tail -f /dev/null", run_in_background: true } },
  };
}

const file = (name: string): string => join(api.cwd, name);

/** An application with one session that can restart on one journal. It denies what `answers` does not approve. */
class Application implements AsyncDisposable {
  readonly name: string = unique();
  readonly answers = new Map<string, (approval: Approval) => void>();
  #asked: string[] = [];
  #options: Options;
  #supervisor: Supervisor | undefined;

  constructor(options: Options) {
    this.#options = { approvals: true, ...options };
  }

  get session(): Session {
    return session(this.name);
  }

  async begin(options: Options = this.#options): Promise<void> {
    this.#options = options;
    this.#supervisor = await Supervisor.start([{ name: this.name, ...options }], {
      name: "application",
      journal: { sqlite: join(folder, "castellan.db") },
      defaults: { env: api.env, cwd: api.cwd },
    });
    void this.#answer();
  }

  async stop(): Promise<void> {
    await this.#supervisor?.stop();
  }

  /** Runs a turn, and resolves with the tools that needed an approval. */
  async asked(prompt: string): Promise<string[]> {
    await this.session.query(prompt);
    return this.#asked.splice(0);
  }

  async #answer(): Promise<void> {
    for await (const event of this.session.events()) {
      if (event.type !== "approval_requested") continue;
      this.#asked.push(event.tool);
      // A hook that grants the tool withdraws the approval, sometimes before this reader runs.
      const approval = this.session.approvals().find(({ id }) => id === event.id);
      if (approval === undefined) continue;
      const answer = this.answers.get(approval.tool);
      if (answer === undefined) approval.deny("no");
      else answer(approval);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}

async function applicationOf(options: Options): Promise<Application> {
  const application = new Application(options);
  await application.begin();
  return application;
}

const WAYS: [string, (application: Application) => Promise<void>][] = [
  ["hibernation", ({ session }) => session.hibernate()],
  [
    "kill -9",
    async ({ session }) => {
      const { pid } = session.status();
      if (pid === undefined) throw new Error("no process");
      const exits = session.events();
      process.kill(pid, "SIGKILL");
      for await (const event of exits) if (event.type === "exit") break;
    },
  ],
  [
    "a restart of the application",
    async (application) => {
      await application.stop();
      await application.begin();
    },
  ],
];

/** Returns Claude Code's latest notice to the model about plan mode. */
const planNotice = (): string | undefined =>
  api.lastRequest?.texts.findLast(({ text }) => text.includes("Plan mode is active"))?.text;

describe.each(WAYS)("grants of a session after %s", (_, way) => {
  it("keep plan mode entered by the model, its notice, and the mode to return to", async () => {
    await using application = await applicationOf({ permissionMode: "acceptEdits" });
    await application.asked("enter");
    expect(application.session.status().permissionMode).toBe("plan");
    await application.asked("hi");
    const before = planNotice();
    expect(before).toMatch(/You should create your plan at \S+\.md/);
    await way(application);
    expect(await application.asked("write")).toEqual(["Write"]);
    expect(existsSync(file("written"))).toBe(false);
    expect(planNotice()).toBe(before);
    application.answers.set("ExitPlanMode", (approval) => approval.approve());
    expect(await application.asked("exit")).toEqual(["ExitPlanMode"]);
    expect(application.session.status().permissionMode).toBe("acceptEdits");
    expect(await application.asked("write")).toEqual([]);
    expect(existsSync(file("written"))).toBe(true);
  });

  it("keep the mode after an approved plan", async () => {
    await using application = await applicationOf({ permissionMode: "plan" });
    const rules: PermissionUpdate[] = [{ type: "setMode", mode: "acceptEdits", destination: "session" }];
    application.answers.set("ExitPlanMode", (approval) => approval.approve({ rules }));
    expect(await application.asked("exit")).toEqual(["ExitPlanMode"]);
    await way(application);
    expect(await application.asked("write")).toEqual([]);
    expect(existsSync(file("written"))).toBe(true);
    expect(application.session.status().permissionMode).toBe("acceptEdits");
  });

  it("keep approved rules and directories, and allow nothing else", async () => {
    await using application = await applicationOf({ permissionMode: "default" });
    const rules: PermissionUpdate[] = [
      allowCommand("touch:*"),
      { ...allowCommand("rm:*"), behavior: "deny" } as PermissionUpdate,
      { ...allowCommand("git push"), behavior: "ask" } as PermissionUpdate,
      { ...allowCommand("git:*"), destination: "cliArg" } as PermissionUpdate,
    ];
    application.answers.set("Bash", (approval) => approval.approve({ rules }));
    expect(await application.asked("touch")).toEqual(["Bash"]);
    // Claude Code suggests the mode acceptEdits and the directory for a file elsewhere.
    application.answers.set("Write", (approval) => approval.approve({ rules: approval.suggestions }));
    expect(await application.asked("elsewhere")).toEqual(["Write"]);
    application.answers.clear();
    await rm(file("touched"));
    await way(application);
    expect(await application.asked("touch")).toEqual([]);
    expect(existsSync(file("touched"))).toBe(true);
    expect(await application.asked("remove")).toEqual([]);
    expect(existsSync(file("touched"))).toBe(true);
    expect(await application.asked("push")).toEqual(["Bash"]);
    expect(await application.asked("elsewhere")).toEqual([]);
    expect(application.session.status().permissionMode).toBe("acceptEdits");
  });
});

it("grants: come back after the application was killed", async () => {
  const name = unique();
  const journal = join(folder, "castellan.db");
  const args = [join(import.meta.dirname, "granting-host.ts"), name, "push,enter", journal, api.cwd];
  const host = spawn(process.execPath, [...args, JSON.stringify(api.env)], { stdio: ["ignore", "pipe", "inherit"] });
  await once(createInterface({ input: host.stdout }), "line");
  host.kill("SIGKILL");
  await once(host, "exit");
  await using _ = await Supervisor.start([{ name, approvals: true, permissionMode: "acceptEdits" }], {
    name: "application",
    journal: { sqlite: journal },
    defaults: { env: api.env, cwd: api.cwd },
  });
  const events = session(name).events();
  const asked: string[] = [];
  void (async () => {
    for await (const event of events) {
      if (event.type !== "approval_requested") continue;
      asked.push(event.tool);
      session(name)
        .approvals()
        .find(({ id }) => id === event.id)
        ?.deny("no");
    }
  })();
  expect(session(name).status().permissionMode).toBe("plan");
  await session(name).query("push");
  expect(asked).toEqual([]);
  await session(name).query("write");
  expect(asked).toEqual(["Write"]);
  expect(existsSync(file("written"))).toBe(false);
});

it("a removed rule: is gone at once from a process that was started with it", async () => {
  await using application = await applicationOf({ permissionMode: "default" });
  application.answers.set("Bash", (approval) => approval.approve({ rules: [allowCommand("touch:*")] }));
  await application.asked("touch");
  await application.session.hibernate();
  expect(await application.asked("touch")).toEqual([]);
  const back = { ...allowCommand("touch:*"), type: "removeRules" } as PermissionUpdate;
  application.answers.set("Bash", (approval) => approval.approve({ rules: [back] }));
  expect(await application.asked("push")).toEqual(["Bash"]);
  application.answers.clear();
  expect(await application.asked("touch")).toEqual(["Bash"]);
  await application.session.hibernate();
  expect(await application.asked("touch")).toEqual(["Bash"]);
});

it("grants: keep what a hook grants, but not an approval for once or for a settings file", async () => {
  let granting = true;
  await using application = await applicationOf({
    permissionMode: "default",
    hooks: {
      PermissionRequest: [
        {
          hooks: [
            async (input) => {
              if (!granting || !JSON.stringify(input).includes("git push")) return {};
              const decision = { behavior: "allow" as const, updatedPermissions: [allowCommand("git:*")] };
              return { hookSpecificOutput: { hookEventName: "PermissionRequest", decision } };
            },
          ],
        },
      ],
    },
  });
  application.answers.set("Bash", () => {});
  expect(await application.asked("push")).toEqual(["Bash"]);
  granting = false;
  application.answers.set("Bash", (approval) => approval.approve({ rules: approval.suggestions.filter(isForFile) }));
  expect(await application.asked("touch")).toEqual(["Bash"]);
  application.answers.set("Bash", (approval) => approval.approve());
  expect(await application.asked("touch")).toEqual(["Bash"]);
  application.answers.clear();
  await application.session.hibernate();
  expect(await application.asked("push")).toEqual([]);
  expect(await application.asked("touch")).toEqual(["Bash"]);
  // Claude Code wrote it into the file, for sessions that read it.
  expect(existsSync(file(".claude/settings.local.json"))).toBe(true);
});

it("grants of an isolated session: do not open paths outside its directory", async () => {
  await using application = await applicationOf({ isolate: { root: join(folder, "own") }, permissionMode: "default" });
  const reading: PermissionUpdate = {
    type: "addRules",
    rules: [{ toolName: "Read" }],
    behavior: "allow",
    destination: "session",
  };
  application.answers.set("Bash", (approval) => approval.approve({ rules: [allowCommand("git:*"), reading] }));
  const inside = async (): Promise<void> => {
    expect(await application.asked("peek")).toEqual([]);
    expect(api.lastRequest?.texts.at(-1)?.text).toContain("blockReadsOutsideWorkingDirectories");
  };
  expect(await application.asked("push")).toEqual(["Bash"]);
  await inside();
  await application.session.hibernate();
  expect(await application.asked("push")).toEqual([]);
  await inside();
});

it("grants: do not extend to a cleared conversation, a fork or another session", async () => {
  await using application = await applicationOf({ permissionMode: "default" });
  application.answers.set("Bash", (approval) => approval.approve({ rules: [allowCommand("touch:*")] }));
  await application.asked("touch");
  application.answers.clear();
  await application.asked("enter");
  const fork = await application.session.fork(unique("fork"));
  expect(fork.status().permissionMode).toBe("default");
  const waiting = fork.query("touch");
  for await (const event of fork.events()) {
    if (event.type !== "approval_requested") continue;
    fork
      .approvals()
      .find(({ id }) => id === event.id)
      ?.deny("no");
    break;
  }
  await waiting;
  await application.session.clear();
  expect(await application.asked("touch")).toEqual(["Bash"]);
  expect(application.session.status().permissionMode).toBe("default");
});

it("a turn that Claude Code begins right after a restart: runs in the kept mode", async () => {
  await using application = await applicationOf({ permissionMode: "acceptEdits" });
  application.answers.set("Bash", (approval) => approval.approve());
  await application.asked("wait");
  await application.asked("enter");
  const events = application.session.events();
  process.kill(application.session.status().pid ?? Number.NaN, "SIGKILL");
  // Claude Code reports in a turn of its own that the command was stopped.
  const began = await (async () => {
    for await (const event of events) if (event.type === "turn_accepted" && event.origin !== "caller") return event;
    throw new Error("it has begun nothing");
  })();
  expect(began.origin).toBe("task");
  const messages = await Array.fromAsync((await application.session.turn(began.turnId)) ?? []);
  const modes = messages.map((message) =>
    message.type === "system" && message.subtype === "init" ? message.permissionMode : undefined,
  );
  expect(modes.filter((mode) => mode !== undefined)).toEqual(["plan"]);
});

function isForFile({ destination }: PermissionUpdate): boolean {
  return destination === "localSettings";
}

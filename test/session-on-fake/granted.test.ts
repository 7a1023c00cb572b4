import type { PermissionUpdate, SDKMessage } from "@anthropic-ai/claude-agent-sdk";
import { expect, test } from "vitest";
import type { ChildOptions } from "../../src/application/options/child-options.ts";
import type { Supervisor } from "../../src/application/supervisor.ts";
import { command, pool, template } from "../../src/index.ts";
import { memoryJournal } from "../../src/journal/memory/memory-journal.ts";
import type { Journal } from "../../src/journal/model/journal.ts";
import type { Approval } from "../../src/session/conversation/approval.ts";
import type { SessionOptions } from "../../src/session/options/options.ts";
import type { Session } from "../../src/session/session.ts";
import { type FakeClaude, type FakeScript, fakeClaude } from "../../src/testing/index.ts";
import { SimulatedClock } from "../supervision/simulated-clock.ts";
import { expectNothingLeft, run } from "./application.ts";
import { eventually, failure, Scene, unique } from "./scene.ts";

const EDIT = ["Write", { file_path: "a", content: "a" }] as const;

/** Enters or exits plan mode, writes a file, or runs any other prompt than "hi" as a command. Replies with the mode. */
const script: FakeScript = async (turn) => {
  if (turn.prompt === "enter") await turn.toolUse("EnterPlanMode", {});
  else if (turn.prompt === "exit") await turn.toolUse("ExitPlanMode", {});
  else if (turn.prompt === "write") await turn.toolUse(...EDIT, { ask: true });
  else if (turn.prompt !== "hi") await turn.toolUse("Bash", { command: turn.prompt }, { ask: true });
  await turn.text(turn.process.permissionMode);
};

const allow = (ruleContent: string): PermissionUpdate => ({
  type: "addRules",
  rules: [{ toolName: "Bash", ruleContent }],
  behavior: "allow",
  destination: "session",
});

/** An application that can be restarted. Approves a tool's requests with its entry in `answers`, and denies all others. */
class Application implements AsyncDisposable {
  readonly fake: FakeClaude = fakeClaude(script);
  readonly journal: Journal = memoryJournal();
  readonly name: string = unique();
  readonly answers = new Map<string, (approval: Approval) => void>();
  /** Tools for which permission was requested since the last call of `asked()`. */
  #asked: string[] = [];
  #options: Omit<SessionOptions, "name">;
  #supervisor: Supervisor | undefined;

  constructor(options: Omit<SessionOptions, "name">) {
    this.#options = { approvals: true, ...options };
  }

  get session(): Session {
    if (this.#supervisor === undefined) throw new Error("the application has not started");
    return this.#supervisor.session(this.name);
  }

  async begin(options: Omit<SessionOptions, "name"> = this.#options): Promise<void> {
    this.#options = options;
    const children: ChildOptions[] = [{ name: this.name, ...options }];
    this.#supervisor = await run(this, children);
    void this.#answer(this.session);
  }

  async stop(): Promise<void> {
    await this.#supervisor?.stop();
  }

  /** Runs a prompt and returns the tools for which permission was requested during it. */
  async asked(prompt: string): Promise<string[]> {
    await this.session.query(prompt);
    return this.#asked.splice(0);
  }

  async #answer(session: Session): Promise<void> {
    for await (const event of session.events()) {
      if (event.type !== "approval_requested") continue;
      const approval = session.approvals().find(({ id }) => id === event.id);
      if (approval === undefined) continue;
      this.#asked.push(approval.tool);
      const answer = this.answers.get(approval.tool);
      if (answer === undefined) approval.deny();
      else answer(approval);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    expectNothingLeft(this.fake);
  }
}

async function startApplication(options: Omit<SessionOptions, "name">): Promise<Application> {
  const application = new Application(options);
  await application.begin();
  return application;
}

const RESTARTS: [string, (application: Application) => Promise<void>][] = [
  ["hibernation", ({ session }) => session.hibernate()],
  [
    "kill -9",
    async ({ session, fake }) => {
      fake.running[0]?.kill("SIGKILL");
      await eventually(() => session.status().restarts > 0 && session.status().state === "idle");
    },
  ],
  ["`restart()`", ({ session }) => session.restart()],
  [
    "a restart of the application",
    async (application) => {
      await application.stop();
      await application.begin();
    },
  ],
];

test.each(RESTARTS)(
  "Grants: plan mode that the model entered persists over %s, and leads back to the mode before",
  async (_, restart) => {
    await using application = await startApplication({ permissionMode: "acceptEdits" });
    expect(await application.asked("write")).toEqual([]);
    await application.asked("enter");
    expect(application.session.status().permissionMode).toBe("plan");
    expect(await application.asked("write")).toEqual(["Write"]);
    await restart(application);
    expect(application.session.status().permissionMode).toBe("plan");
    expect(await application.asked("write")).toEqual(["Write"]);
    application.answers.set("ExitPlanMode", (approval) => approval.approve());
    expect(await application.asked("exit")).toEqual(["ExitPlanMode"]);
    expect(application.session.status().permissionMode).toBe("acceptEdits");
    expect(await application.asked("write")).toEqual([]);
  },
);

test.each(RESTARTS)("Grants: the mode of an approved plan persists over %s", async (_, restart) => {
  await using application = await startApplication({ permissionMode: "plan" });
  const rules: PermissionUpdate[] = [{ type: "setMode", mode: "acceptEdits", destination: "session" }];
  application.answers.set("ExitPlanMode", (approval) => approval.approve({ rules }));
  await application.asked("exit");
  expect(await application.asked("write")).toEqual([]);
  await restart(application);
  expect(await application.asked("write")).toEqual([]);
  expect(application.session.status().permissionMode).toBe("acceptEdits");
});

test.each(RESTARTS)("Grants: approved rules of each behavior and directories persist over %s", async (_, restart) => {
  await using application = await startApplication({ permissionMode: "default" });
  const rules: PermissionUpdate[] = [
    allow("touch:*"),
    {
      type: "addRules",
      rules: [{ toolName: "Bash", ruleContent: "rm:*" }],
      behavior: "deny",
      destination: "session",
    },
    {
      type: "addRules",
      rules: [{ toolName: "Bash", ruleContent: "touch b" }],
      behavior: "ask",
      destination: "session",
    },
    { type: "addDirectories", directories: ["/elsewhere"], destination: "session" },
  ];
  application.answers.set("Bash", (approval) => approval.approve({ rules }));
  expect(await application.asked("touch a")).toEqual(["Bash"]);
  application.answers.clear();
  await restart(application);
  expect(await application.asked("touch c")).toEqual([]);
  expect(await application.asked("touch b")).toEqual(["Bash"]);
  expect(await application.asked("rm a")).toEqual([]);
  expect(await application.asked("ls")).toEqual(["Bash"]);
  expect(await directoriesOf(application.session)).toEqual(["/elsewhere"]);
});

test.each(RESTARTS)("Grants: the mode of `setPermissionMode` persists over %s", async (_, restart) => {
  await using application = await startApplication({ permissionMode: "default" });
  await application.session.setPermissionMode("acceptEdits");
  await application.session.setPermissionMode("plan");
  expect(application.session.status().permissionMode).toBe("plan");
  await restart(application);
  application.answers.set("ExitPlanMode", (approval) => approval.approve());
  await application.asked("exit");
  expect(await application.asked("write")).toEqual([]);
});

test("Grants: approvals without rules, denials and rules for a settings file do not persist", async () => {
  await using application = await startApplication({ permissionMode: "default" });
  application.answers.set("Bash", (approval) => approval.approve());
  await application.asked("touch a");
  const forFile = { ...allow("touch:*"), destination: "localSettings" } as PermissionUpdate;
  application.answers.set("Bash", (approval) => approval.approve({ rules: [forFile] }));
  await application.asked("touch a");
  application.answers.set("Bash", (approval) => approval.deny("no"));
  await application.asked("touch a");
  await application.session.hibernate();
  expect(await application.asked("touch a")).toEqual(["Bash"]);
  const process = application.fake.processes.at(-1);
  expect(process?.args.join(" ")).not.toContain("touch");
  expect(application.session.status().permissionMode).toBe("default");
});

test("Grants: a removed rule has no effect at once, nor in the next process", async () => {
  await using application = await startApplication({ permissionMode: "default" });
  application.answers.set("Bash", (approval) => approval.approve({ rules: [allow("touch:*"), allow("mkdir:*")] }));
  await application.asked("touch a");
  await application.session.hibernate();
  expect(await application.asked("touch a")).toEqual([]);
  const back = { ...allow("touch:*"), type: "removeRules" } as PermissionUpdate;
  application.answers.set("Bash", (approval) => approval.approve({ rules: [back] }));
  expect(await application.asked("ls")).toEqual(["Bash"]);
  application.answers.clear();
  expect(await application.asked("touch a")).toEqual(["Bash"]);
  expect(await application.asked("mkdir a")).toEqual([]);
  await application.session.hibernate();
  expect(await application.asked("touch a")).toEqual(["Bash"]);
  expect(await application.asked("mkdir a")).toEqual([]);
});

test.each(["clear()", "a restart that clears"])("Grants: %s drops them and returns to the options", async (how) => {
  await using application = await startApplication({ permissionMode: "default" });
  application.answers.set("Bash", (approval) => approval.approve({ rules: [allow("touch:*")] }));
  await application.asked("touch a");
  application.answers.clear();
  await application.asked("enter");
  if (how === "clear()") await application.session.clear();
  else await application.session.restart({ conversation: "clear" });
  expect(application.session.status().permissionMode).toBe("default");
  expect(await application.asked("touch a")).toEqual(["Bash"]);
  await application.stop();
  await application.begin();
  expect(await application.asked("touch a")).toEqual(["Bash"]);
  expect(application.session.status().permissionMode).toBe("default");
});

test("Grants: persist over Claude's own `/clear`, in the process and in the next one", async () => {
  await using application = await startApplication({ permissionMode: "default" });
  application.answers.set("Bash", (approval) => approval.approve({ rules: [allow("touch:*")] }));
  await application.asked("touch a");
  application.answers.clear();
  await application.session.query(command("clear"));
  expect(await application.asked("touch a")).toEqual([]);
  await application.session.hibernate();
  expect(await application.asked("touch a")).toEqual([]);
});

test("Grants: are unknown to a fork and to another session", async () => {
  const [other, forked] = [unique("other"), unique("fork")];
  await using scene = await Scene.open({ script, session: { approvals: true, permissionMode: "default" } });
  await scene.supervisor.startSession({ name: other, approvals: true, permissionMode: "default" });
  const reply = scene.session.query("touch a");
  await eventually(() => scene.session.approvals().length > 0);
  scene.session.approvals()[0]?.approve({
    rules: [allow("touch:*"), { type: "setMode", mode: "acceptEdits", destination: "session" }],
  });
  await reply;
  const fork = await scene.session.fork(forked);
  for (const one of [fork, scene.supervisor.session(other)]) {
    const waiting = one.query("touch a");
    await eventually(() => one.approvals().length > 0);
    one.approvals()[0]?.deny();
    expect((await waiting).text).toBe("default");
  }
  expect((await scene.session.query("touch a")).text).toBe("acceptEdits");
});

test("Grants: persist when the turn in which they were approved is rolled back", async () => {
  await using scene = await Scene.open({
    session: { approvals: true, permissionMode: "default", whenBusy: "rollback" },
    script: async (turn) => {
      await turn.toolUse("Bash", { command: "touch a" }, { ask: true });
      if (turn.prompt === "long") await turn.hang();
      await turn.text(`${turn.history.length}`);
    },
  });
  const long = failure(scene.session.query("long"), "TURN_INTERRUPTED");
  await eventually(() => scene.session.approvals().length > 0);
  scene.session.approvals()[0]?.approve({ rules: [allow("touch:*")] });
  await eventually(() => scene.session.status().state === "busy");
  const { text } = await scene.session.query("short");
  await long;
  expect(text).toBe("0");
  expect(scene.fake.processes).toHaveLength(2);
});

test("Grants: a changed `permissionMode` option overrides the mode at the next start, for good", async () => {
  await using application = await startApplication({ permissionMode: "acceptEdits" });
  await application.asked("enter");
  await application.stop();
  await application.begin({ approvals: true, permissionMode: "dontAsk" });
  expect((await application.session.query("hi")).text).toBe("dontAsk");
  await application.stop();
  // The first override dropped plan mode, so the old option does not bring it back.
  await application.begin({ approvals: true, permissionMode: "acceptEdits" });
  expect((await application.session.query("hi")).text).toBe("acceptEdits");
});

test("supervisor.reconcile(): changes the mode when the option changed, and leaves plan mode alone otherwise", async () => {
  const name = unique();
  await using scene = await Scene.open({
    script,
    children: [{ name, approvals: true, permissionMode: "acceptEdits" }],
  });
  await scene.session.query("enter");
  const changed = { name, approvals: true, permissionMode: "acceptEdits", timeout: "5m" } as const;
  expect((await scene.supervisor.reconcile([changed])).changed).toEqual([name]);
  expect((await scene.session.query("hi")).text).toBe("plan");
  const report = await scene.supervisor.reconcile([{ ...changed, permissionMode: "default" }]);
  expect(report).toMatchObject({ changed: [name], failed: [] });
  expect((await scene.session.query("hi")).text).toBe("default");
  await scene.session.hibernate();
  expect((await scene.session.query("hi")).text).toBe("default");
});

test("Spares: a session with a granted mode does not take one", async () => {
  const family = unique("family");
  await using scene = await Scene.open({
    script,
    options: { capacity: { maxProcesses: 4, spares: 1 } },
    children: [template(family, { permissionMode: "default" })],
  });
  await scene.supervisor.session([family, 1]).query("hi");
  await eventually(() => scene.supervisor.capacity().spares.ready === 1);
  const second = scene.supervisor.session([family, 2]);
  await second.wake();
  const before = scene.supervisor.capacity().spares.hits;
  await eventually(() => scene.supervisor.capacity().spares.ready === 1);
  await second.setPermissionMode("plan");
  await second.hibernate();
  expect((await second.query("hi")).text).toBe("plan");
  expect(scene.supervisor.capacity().spares.hits).toBe(before);
});

test("Pool: lends a member without the grants of the previous loan", async () => {
  for (const conversation of ["fresh", "shared"] as const) {
    const name = unique("pool");
    await using scene = await Scene.open({
      script,
      children: [pool(name, { size: 1, approvals: true, permissionMode: "default", conversation })],
    });
    await scene.supervisor.pool(name).use(async (loan) => {
      await loan.setPermissionMode("acceptEdits");
      const reply = loan.query("touch a");
      await eventually(() => loan.approvals().length > 0);
      loan.approvals()[0]?.approve({ rules: [allow("touch:*")] });
      await reply;
    });
    await scene.supervisor.pool(name).use(async (loan) => {
      const reply = loan.query("touch a");
      await eventually(() => loan.approvals().length > 0);
      loan.approvals()[0]?.deny();
      expect((await reply).text).toBe("default");
    });
  }
});

test("Grants: rules that `canUseTool` returns persist, those of a withdrawn request do not", async () => {
  const answer = Promise.withResolvers<void>();
  let asked = 0;
  await using scene = await Scene.open({
    script,
    session: {
      permissionMode: "default",
      canUseTool: async (_tool, input, { signal }) => {
        asked++;
        if (input["command"] === "slow") await answer.promise;
        const rule = signal.aborted ? "slow" : "touch:*";
        return { behavior: "allow", updatedInput: input, updatedPermissions: [allow(rule)] };
      },
    },
  });
  await scene.session.query("touch a");
  const turn = scene.session.stream("slow");
  await eventually(() => asked === 2);
  await turn.interrupt();
  await failure(turn.result(), "TURN_INTERRUPTED");
  answer.resolve();
  await scene.session.hibernate();
  await scene.session.query("touch a");
  expect(asked).toBe(2);
  await scene.session.query("slow");
  expect(asked).toBe(3);
});

test.each([
  ["persist when the hook answers first", true],
  ["do not persist when `canUseTool` answers first", false],
])("Grants: rules of a PermissionRequest hook %s", async (_, wins) => {
  const decided = Promise.withResolvers<void>();
  let asked = 0;
  await using scene = await Scene.open({
    script,
    session: {
      permissionMode: "default",
      canUseTool: async (_tool, input, { signal }) => {
        asked++;
        if (!wins) return { behavior: "allow", updatedInput: input };
        await new Promise((resolve) => signal.addEventListener("abort", resolve));
        return { behavior: "deny", message: "too late" };
      },
      hooks: {
        PermissionRequest: [
          {
            hooks: [
              async () => {
                if (!wins) await decided.promise;
                const decision = { behavior: "allow" as const, updatedPermissions: [allow("touch:*")] };
                return { hookSpecificOutput: { hookEventName: "PermissionRequest", decision } };
              },
            ],
          },
        ],
      },
    },
  });
  const reply = scene.session.query("touch a");
  if (!wins) {
    await reply;
    decided.resolve();
  }
  await reply;
  await scene.session.hibernate();
  await scene.session.query("touch a");
  expect(asked).toBe(wins ? 1 : 2);
});

test("status() and inspect(): show the current permission mode and its origin", async () => {
  await using scene = await Scene.open({ script, session: { approvals: true, permissionMode: "acceptEdits" } });
  const shown = () => {
    const [child] = scene.supervisor.inspect().children;
    return child?.kind === "session" ? child.options["permissionMode"] : undefined;
  };
  expect(scene.session.status().permissionMode).toBe("acceptEdits");
  expect(shown()).toEqual({ value: "acceptEdits", origin: { from: "session" } });
  await scene.session.query("enter");
  expect(scene.session.status().permissionMode).toBe("plan");
  expect(shown()).toEqual({ value: "plan", origin: { from: "conversation" } });
});

test("Grants: return with a session of a template that was evicted", async () => {
  const [family, clock] = [unique("family"), new SimulatedClock()];
  const children = [template(family, { permissionMode: "default", idleTimeout: "1m" })];
  await using scene = await Scene.open({ clock, script, children });
  await scene.supervisor.session([family, 1]).setPermissionMode("plan");
  await clock.advance(60_000);
  await eventually(() => scene.fake.running.length === 0);
  await clock.advance(10 * 60_000);
  expect(scene.supervisor.countSessions()).toBe(0);
  expect((await scene.supervisor.session([family, 1]).query("hi")).text).toBe("plan");
});

test.each([
  ["rejects", { subtype: "error", error: "not today" }, "not today"],
  [
    "misapplies",
    { subtype: "success", response: { mode: "acceptEdits" } },
    "it is in the permission mode acceptEdits although plan was requested",
  ],
])("Grants: a process that %s them fails to start and says why", async (_, answer, why) => {
  const name = unique();
  const fake = fakeClaude(script);
  const refusing = (options: Parameters<FakeClaude["spawn"]>[0]) => {
    const child = fake.spawn(options);
    const write = child.stdin.write.bind(child.stdin);
    child.stdin.write = (chunk: unknown, ...rest: unknown[]): boolean => {
      const { request_id, request } = JSON.parse(String(chunk)) as {
        request_id: string;
        request?: { subtype: string };
      };
      if (request?.subtype !== "set_permission_mode") return write(chunk, ...(rest as []));
      const response = { ...answer, request_id };
      fake.processes.at(-1)?.write(`${JSON.stringify({ type: "control_response", response })}\n`);
      return true;
    };
    return child;
  };
  const journal = memoryJournal();
  const first = await run({ fake, journal }, [{ name, permissionMode: "acceptEdits" }]);
  await first.session(name).setPermissionMode("plan");
  await first.stop();
  const options = { maxRestarts: 0, defaults: { spawnClaudeCodeProcess: refusing } };
  const second = await run({ fake, journal }, [{ name, permissionMode: "acceptEdits" }], options);
  expect(second.session(name).status()).toMatchObject({
    state: "quarantined",
    lastExit: { class: "crash", message: `it did not accept the grants of its conversation: ${why}` },
  });
  await second.stop();
  expectNothingLeft(fake);
});

test("Grants: do not return a session to `bypassPermissions` after the option that allows it is gone", async () => {
  await using application = await startApplication({
    permissionMode: "default",
    allowDangerouslySkipPermissions: true,
  });
  await application.session.setPermissionMode("bypassPermissions");
  await application.asked("enter");
  await application.stop();
  await application.begin({ approvals: true, permissionMode: "default" });
  application.answers.set("ExitPlanMode", (approval) => approval.approve());
  expect((await application.session.query("hi")).text).toBe("plan");
  await application.asked("exit");
  expect(application.session.status().permissionMode).toBe("default");
  expect(await application.asked("write")).toEqual(["Write"]);
});

async function directoriesOf(session: Session): Promise<unknown> {
  for await (const message of session.stream("hi")) if (isInit(message)) return message["additional_directories"];
  return undefined;
}

function isInit(message: SDKMessage): message is SDKMessage & Record<string, unknown> {
  return message.type === "system" && message.subtype === "init";
}

import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { query, Supervisor, stream } from "../../src/index.ts";
import { type MessagesAnswer, type MessagesApi, type MessagesRequest, messagesApi } from "../../src/testing/index.ts";
import { unique } from "../session-on-fake/scene.ts";

let api: MessagesApi;

/** A command that ends when `file` is there. */
const until = (file: string): string =>
  `until [ -e ${api.cwd}/${file} ]; do timeout 0.05 tail -f /dev/null; done; echo over`;

const bash = (command: string, more: object = {}): MessagesAnswer => ({
  toolUses: [{ name: "Bash", input: { command, description: "Wait", ...more } }],
});

/** The last text of the user, or of Claude Code in the user's name. */
const lastOf = ({ texts }: MessagesRequest): string => texts.findLast(({ role }) => role === "user")?.text ?? "";

function answer(request: MessagesRequest): MessagesAnswer {
  const last = lastOf(request);
  if (last === "Begin.") return bash(until("task"), { run_in_background: true });
  if (last.includes("SYSTEM NOTIFICATION")) return bash(until("work"));
  if (last === "Schedule.") return { toolUses: [{ name: "ToolSearch", input: { query: "select:CronCreate" } }] };
  if (last === "Tool loaded.") {
    return {
      toolUses: [{ name: "CronCreate", input: { cron: "* * * * *", prompt: "Look again.", recurring: false } }],
    };
  }
  return { text: `re: ${last.trim()}` };
}

beforeEach(async () => {
  api = await messagesApi(answer);
});

afterEach(async () => {
  await api.stop();
  expect(api.errors).toEqual([]);
});

async function touch(file: string): Promise<void> {
  const { writeFile } = await import("node:fs/promises");
  await writeFile(`${api.cwd}/${file}`, "");
}

async function atWork(options: object = {}): Promise<{ supervisor: Supervisor; name: string; turnId: string }> {
  const name = unique();
  const supervisor = await Supervisor.start([{ name, allowedTools: ["Bash", "CronCreate"], ...options }], {
    defaults: { env: api.env, cwd: api.cwd },
  });
  await query(name, "Begin.");
  const session = supervisor.session(name);
  expect(session.status()).toMatchObject({ state: "busy", backgroundTasks: 1 });
  const began = (async () => {
    for await (const event of session.events())
      if (event.type === "turn_accepted" && event.origin !== "caller") return event;
    throw new Error("the session has ended");
  })();
  await touch("task");
  const { turnId, origin } = await began;
  expect(origin).toBe("task");
  return { supervisor, name, turnId };
}

describe("Turns that Claude Code begins by itself", () => {
  test("run from the end of their task to their own, uncut by hibernation and maxAge", async () => {
    const { supervisor, name, turnId } = await atWork({ idleTimeout: 1, maxAge: 1 });
    await using _ = supervisor;
    const session = supervisor.session(name);
    const { pid } = session.status();
    await expect(session.hibernate()).rejects.toMatchObject({ code: "SESSION_BUSY" });
    expect(session.status()).toMatchObject({ state: "busy", turn: { id: turnId, origin: "task" } });
    await touch("work");
    const reply = await (await session.turn(turnId))?.result();
    expect(reply).toMatchObject({ text: "re: over" });
    expect(reply?.costUsd).toBeGreaterThan(0);
    expect(session.status().pid === pid || session.status().state === "hibernated").toBe(true);
    const [usage] = await session.usage();
    expect(usage?.usage.outputTokens).toBe(4 * 5);
  });

  test("stay apart from a caller's: the deadline of a prompt behind them leaves them alone", async () => {
    const { supervisor, name, turnId } = await atWork();
    await using _ = supervisor;
    await expect(query(name, "Too late.", { timeout: 100 })).rejects.toMatchObject({ code: "TURN_TIMEOUT" });
    const behind = stream(name, "Behind.");
    await touch("work");
    expect((await (await supervisor.session(name).turn(turnId))?.result())?.text).toBe("re: over");
    expect((await behind.result()).text).toBe("re: Behind.");
    expect(api.requests.some(({ raw }) => raw.includes("Too late."))).toBe(false);
  });

  test("are awaited by drain, like a background task", async () => {
    const name = unique();
    await using supervisor = await Supervisor.start([{ name, allowedTools: ["Bash"] }], {
      defaults: { env: api.env, cwd: api.cwd },
    });
    await query(name, "Begin.");
    const draining = supervisor.drain({ deadline: "1m" });
    await touch("task");
    await touch("work");
    expect(await draining).toEqual({ completed: true });
    expect(api.lastRequest?.texts.at(-1)?.text).toContain("over");
  });

  test("end with their process with TURN_INTERRUPTED, and stay in the conversation", async () => {
    const { supervisor, name, turnId } = await atWork();
    await using _ = supervisor;
    const session = supervisor.session(name);
    const turn = await session.turn(turnId);
    process.kill(session.status().pid ?? 0, "SIGKILL");
    await expect(turn?.result()).rejects.toMatchObject({ code: "TURN_INTERRUPTED" });
    expect((await query(name, "And now?")).text).toBe("re: And now?");
    expect(api.lastRequest?.raw).toContain("SYSTEM NOTIFICATION");
  });

  test("come from a schedule, which keeps the session awake until then", async () => {
    const name = unique();
    await using supervisor = await Supervisor.start([{ name, allowedTools: ["CronCreate"], idleTimeout: 1 }], {
      defaults: { env: api.env, cwd: api.cwd },
    });
    const session = supervisor.session(name);
    const began = (async () => {
      for await (const event of session.events())
        if (event.type === "turn_accepted" && event.origin !== "caller") return event;
      throw new Error("the session has ended");
    })();
    await query(name, "Schedule.");
    expect(session.status().wakeups).toHaveLength(1);
    await expect(session.hibernate()).rejects.toMatchObject({ code: "SESSION_BUSY" });
    const { turnId, origin } = await began;
    expect(origin).toBe("schedule");
    expect((await (await session.turn(turnId))?.result())?.text).toBe("re: Look again.");
  }, 150_000);
});

import { expect, test } from "vitest";
import { type SessionOptions, Supervisor } from "../../src/index.ts";
import type { Session } from "../../src/session/session.ts";
import type { Turn } from "../../src/session/streams/turn.ts";
import { type MessagesApi, type MessagesModel, messagesApi } from "../../src/testing/mock-api/messages-api.ts";
import { unique } from "../session-on-fake/scene.ts";

/** Runs a command of one second on the first request of a conversation, and answers the others. */
const model: MessagesModel = ({ body }) =>
  JSON.stringify(body.messages).includes("tool_use_id")
    ? { text: "done", delayMs: 500 }
    : { toolUses: [{ name: "Bash", input: { command: "timeout 1 tail -f /dev/null; true" } }] };

interface Steered extends AsyncDisposable {
  readonly api: MessagesApi;
  readonly session: Session;
}

async function open(options: Omit<SessionOptions, "name"> = {}): Promise<Steered> {
  const api = await messagesApi(model);
  const name = unique();
  const session = { name, env: api.env, cwd: api.cwd, allowedTools: ["Bash"], ...options };
  const supervisor = await Supervisor.start([session], { journal: "memory" });
  return {
    api,
    session: supervisor.session(name),
    [Symbol.asyncDispose]: async () => {
      await supervisor.stop();
      await api.stop();
      expect(api.errors).toEqual([]);
    },
  };
}

/** Waits for an event of the turn. */
async function event(turn: Turn, type: string): Promise<void> {
  for await (const one of turn.events()) if (one.type === type) return;
}

async function outcomes(turn: Turn): Promise<string[]> {
  const seen: string[] = [];
  for await (const one of turn.events()) if (one.type === "steer_settled") seen.push(one.outcome);
  return seen;
}

const textOf = (message: unknown): string => JSON.stringify(message);

test("the real Claude Code gives a message to the model with the result of the running tool", async () => {
  await using at = await open();
  const turn = at.session.stream("use a tool");
  await event(turn, "tool_use");
  await Promise.all([turn.steer("be brief"), turn.steer("be kind")]);
  await turn.result();
  expect(at.api.requests).toHaveLength(2);
  const asked = textOf(at.api.lastRequest?.body.messages);
  expect(asked).toMatch(/tool_result.*be brief.*be kind/);
  expect(await outcomes(turn)).toEqual(["read", "read"]);
  expect((await at.session.query("next")).text).toBe("done");
});

test("the real Claude Code continues the same turn with a message that came during its last answer", async () => {
  await using at = await open();
  const turn = at.session.stream("use a tool");
  await at.api.requested(2);
  await turn.steer("one thing more");
  const next = at.session.stream("next");
  const { costUsd } = await turn.result();
  expect(at.api.requests).toHaveLength(3);
  expect(textOf(at.api.lastRequest?.body.messages.at(-1))).toContain("one thing more");
  expect(await outcomes(turn)).toEqual(["read"]);
  await next.result();
  const spent = await at.session.usage();
  expect(costUsd).toBeGreaterThan(0);
  expect(costUsd + (await next.result()).costUsd).toBeCloseTo(spent[0]?.costUsd ?? 0, 8);
  expect(textOf(at.api.lastRequest?.body.messages.at(-1))).toContain("next");
});

test("the real Claude Code forgets a message that it has not read when the turn is interrupted", async () => {
  await using at = await open();
  const turn = at.session.stream("use a tool");
  await event(turn, "tool_use");
  await turn.steer("one thing more");
  await turn.interrupt();
  expect(await outcomes(turn)).toEqual(["unread"]);
  await at.session.query("next");
  expect(at.api.requests).toHaveLength(2);
  expect(textOf(at.api.lastRequest?.body.messages)).not.toContain("one thing more");
});

test("a turn that runs again after kill -9 has its messages", async () => {
  await using at = await open({ onInterruptedTurn: "retry" });
  const turn = at.session.stream("use a tool");
  await event(turn, "tool_use");
  await turn.steer("one thing more");
  process.kill(at.session.status().pid ?? 0, "SIGKILL");
  await turn.result();
  const last = at.api.lastRequest?.body.messages;
  expect(textOf(last).match(/one thing more/g)).toHaveLength(1);
  expect(textOf(last).match(/use a tool/g)).toHaveLength(1);
  expect(await outcomes(turn)).toEqual(["read"]);
});

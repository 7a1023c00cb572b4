import { join } from "node:path";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { type Session, type SessionEvent, Supervisor } from "../../src/index.ts";
import { type MockApi, messagesApi, mockApi } from "../../src/testing/index.ts";

let api: MockApi;

beforeEach(async () => {
  api = await mockApi();
});

afterEach(async () => {
  await api.stop();
});

async function start(name: string): Promise<{ supervisor: Supervisor; session: Session }> {
  const journal = { sqlite: join(api.cwd, "..", "journal.sqlite") };
  const supervisor = await Supervisor.start([{ name, allowedTools: ["Bash"] }], {
    name: "application",
    journal,
    defaults: { env: api.env, cwd: api.cwd },
  });
  return { supervisor, session: supervisor.session(name) };
}

async function recordOf(session: Session): Promise<SessionEvent[]> {
  return await Array.fromAsync(session.events({ live: false }));
}

const shapeOf = (events: readonly SessionEvent[]): string[] =>
  events.flatMap((event) => {
    if (event.type === "started") return `started: ${event.reason}`;
    if (event.type === "turn_ended") return `ended: ${event.state}`;
    if (event.type === "text") return event.cut === true ? "cut text" : "text";
    return ["tool_use", "tool_result", "turn_accepted", "exit", "turn_retried"].includes(event.type) ? event.type : [];
  });

it("session.events(): records the real process over an interrupt, SIGKILL and a restart of the application", {
  timeout: 90_000,
}, async () => {
  const name = "recorded";
  const first = await start(name);
  api.reply("look", { toolUses: [{ name: "Bash", input: { command: "echo hello" } }] }, { times: 1 });
  api.reply("forever", { text: "word ".repeat(500), tokensPerSecond: 20 });
  await first.session.query("Please look.");
  const cut = first.session.stream("Talk forever.");
  for await (const event of cut.events()) {
    if (event.type === "text_delta" && event.text.includes("word")) void cut.interrupt();
  }
  const killed = first.session.stream("Talk forever.");
  for await (const event of killed.events()) {
    if (event.type === "text_delta" && event.text.includes("word")) {
      process.kill(first.session.status().pid ?? Number.NaN, "SIGKILL");
      break;
    }
  }
  await expect(killed.result()).rejects.toMatchObject({ code: "TURN_INTERRUPTED" });
  await vi.waitUntil(() => first.session.status().state === "idle", { timeout: 20_000 });
  const before = await recordOf(first.session);
  await first.supervisor.stop();

  const second = await start(name);
  await using _ = second.supervisor;
  await second.session.query("And now?");
  const record = await recordOf(second.session);
  expect(record.slice(0, before.length)).toEqual(before);
  expect(record.map(({ number }) => number)).toEqual(record.map((_, index) => index + 1));
  expect(shapeOf(record)).toEqual([
    "started: start",
    ...["turn_accepted", "tool_use", "tool_result", "text", "ended: completed"],
    // Claude Code sends what an interrupt has cut as a whole block, and so it is in the conversation.
    ...["turn_accepted", "text", "ended: interrupted"],
    ...["turn_accepted", "exit", "cut text", "ended: interrupted"],
    "started: restart",
    "exit",
    "started: start",
    ...["turn_accepted", "text", "ended: completed"],
  ]);
});

it("turn.events(): repeats the deltas of every block, also of one that the API broke off", async () => {
  let requests = 0;
  await using broken = await messagesApi(() => {
    requests++;
    return requests === 1 ? { text: "word ".repeat(400), breaksAfter: 200 } : { text: "It says hello." };
  });
  await using supervisor = await Supervisor.start([{ name: "broken" }], {
    journal: "memory",
    defaults: { env: broken.env, cwd: broken.cwd },
  });
  const turn = supervisor.session("broken").stream("Hello?");
  const streamed = new Map<string, string>();
  const whole = new Map<string, unknown>();
  for await (const event of turn.events()) {
    if (event.type === "text_delta") streamed.set(event.block, (streamed.get(event.block) ?? "") + event.text);
    if (event.type === "text") whole.set(event.block, event.text);
  }
  expect([...whole.values()].at(-1)).toBe("It says hello.");
  // How much of the first answer arrives before the connection breaks differs.
  for (const [block, text] of streamed) expect(whole.get(block)).toBe(text);
  expect(requests).toBeGreaterThan(1);
});

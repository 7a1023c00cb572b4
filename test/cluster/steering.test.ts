import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { connect } from "../../src/connect.ts";
import { global, pool, Supervisor, template } from "../../src/index.ts";
import type { SessionEvent } from "../../src/session/record/session-event-types.ts";
import type { Turn } from "../../src/session/streams/turn.ts";
import { fakeClaude } from "../../src/testing/index.ts";
import { PostgresServer } from "../journal/postgres-server.ts";
import { eventually, failure } from "../session-on-fake/scene.ts";

let server: PostgresServer;

beforeAll(async () => {
  server = await PostgresServer.start();
});

afterAll(async () => {
  await server?.remove();
});

const QUESTIONS = [{ question: "Which?", header: "", options: [{ label: "a", description: "" }], multiSelect: true }];

async function told(turn: Turn, ...types: readonly SessionEvent["type"][]): Promise<SessionEvent[]> {
  const events: SessionEvent[] = [];
  for await (const event of turn.events()) if (types.includes(event.type)) events.push(event);
  return events;
}

test("a caller on another machine steers turns, and answers approvals and questions in its name", async () => {
  const fake = fakeClaude(async (turn) => {
    if (turn.prompt === "ask") {
      await turn.toolUse("Bash", { command: "ls" }, { ask: true });
      await turn.askPermission("AskUserQuestion", { questions: QUESTIONS });
    }
    await turn.text([turn.prompt, ...turn.joined].join(" + "));
  });
  const database = server.fresh();
  const secret = "a secret of at least thirty-two characters";
  const children = [template(global("chat"), { approvals: true }), pool(global("crew"), { size: 1 })];
  const supervisor = await Supervisor.start(children, {
    cluster: { ...database, secret, advertise: "http://127.0.0.1:0", name: "one" },
    defaults: { spawnClaudeCodeProcess: fake.spawn },
    logger: { info: () => {}, warn: () => {} },
  });
  onTestFinished(() => supervisor.stop());
  const client = connect({ ...database, secret, patience: "20s" });
  onTestFinished(() => client.close());
  const chat = client.session(global(["chat", 1]));
  const turn = chat.stream("ask");
  const events = told(turn, "steered", "steer_settled", "approval_settled");
  const approval = async () => {
    for (;;) {
      const [first] = await chat.approvals();
      if (first !== undefined) return first;
    }
  };
  const first = await approval();
  expect(await turn.steer("be brief", { by: "ann" })).toBe(turn);
  await eventually(() => fake.processes[0]?.prompts.length === 2);
  expect(await first.approve({ by: "bob" })).toBe(true);
  const second = await approval();
  expect(second.questions).toEqual(QUESTIONS);
  await failure(second.answer({ Why: "?" }), "INVALID_OPTIONS");
  expect(await second.answer({ "Which?": ["a", "b"] }, { by: "eve" })).toBe(true);
  expect((await turn.result()).text).toBe("ask + be brief");
  expect(await events).toMatchObject([
    { type: "steered", text: "be brief", by: "ann" },
    { type: "approval_settled", outcome: "approved", by: "bob" },
    { type: "steer_settled", outcome: "read" },
    { type: "approval_settled", by: "eve", answers: { "Which?": "a, b" } },
  ]);
  expect((await failure(turn.steer("more"), "STEER_REFUSED")).details).toEqual({ turnId: turn.id, reason: "ended" });
  const next = await turn.steer("more", { afterEnd: "enqueue" });
  expect(next.id).not.toBe(turn.id);
  expect((await next.result()).text).toBe("more");
  await failure((async () => chat.stream("hi", { whenBusy: "steer" }))(), "INVALID_OPTIONS");
  const lent = client.session(global("crew")).stream("hi");
  await failure(lent.steer("more"), "INVALID_OPTIONS");
  await lent.result();
});

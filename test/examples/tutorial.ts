import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { query, session } from "castellan";
import { claudeStubs, type FakeScript } from "castellan/testing";
import type { Hono } from "hono";
import { expect, onTestFinished, test, vi } from "vitest";
import { startChats } from "../../examples/tutorial/02-conversations/chats.ts";
import { createApp as pageApp } from "../../examples/tutorial/03-page/app.ts";
import { createApp as approvalsApp } from "../../examples/tutorial/04-approvals/app.ts";
import { startChats as startWithTools } from "../../examples/tutorial/04-approvals/chats.ts";
import { startChats as startDurable } from "../../examples/tutorial/05-deploy/chats.ts";
import { watching } from "../../examples/tutorial/06-watching/watching.ts";
import { startModel } from "../../examples/tutorial/07-live/model.ts";
import { onFake } from "./on-fake.ts";

// test/soak/tutorial.test.ts runs the programs of the chapters, on the real Claude Code.

const remembering: FakeScript = async (turn) => {
  const [, before] = turn.history.toReversed();
  await turn.text(before === undefined ? "Hello." : `You said: ${before.text}`, { partials: 2 });
};

async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "castellan-tutorial-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

async function asked(
  app: Hono,
  user: string,
  prompt: string,
): Promise<{ readonly id: string; readonly events: string }> {
  const accepted = await app.request(`/${user}/turns`, { method: "POST", body: prompt });
  const { id } = (await accepted.json()) as { readonly id: string };
  return { id, events: await (await app.request(`/${user}/turns/${id}`)).text() };
}

test("tutorial/01-first-answer: prints the answer", async () => {
  using claude = claudeStubs();
  claude.install();
  claude.stub("assistant", "Paris.");
  const log = vi.spyOn(console, "log").mockImplementation(() => {});
  onTestFinished(() => log.mockRestore());
  // The example is a script, which runs when it is imported.
  await import("../../examples/tutorial/01-first-answer/first.ts");
  expect(log.mock.calls).toEqual([[expect.stringMatching(/^Paris\. \(\d+ ms\)$/)]]);
});

test("tutorial/02-conversations: each user has a conversation, which survives a restart of the application", async () => {
  const sqlite = join(await temporaryFolder(), "castellan.db");
  const { options } = onFake(remembering);
  {
    await using _supervisor = await startChats({ ...options, journal: { sqlite } });
    expect((await query(["chat", "ada"], "My name is Ada.")).text).toBe("Hello.");
    expect((await query(["chat", "bob"], "My name is Bob.")).text).toBe("Hello.");
  }
  await using _supervisor = await startChats({ ...options, journal: { sqlite } });
  expect((await query(["chat", "ada"], "Who am I?")).text).toBe("You said: My name is Ada.");
});

test("tutorial/03-page: streams an answer, and shows after a reload what was said and which turn runs", async () => {
  const gate = Promise.withResolvers<void>();
  const { fake, options } = onFake(async (turn) => {
    if (turn.prompt === "Wait.") await gate.promise;
    await turn.text(`About ${turn.prompt}`, { partials: 3 });
  });
  await using _supervisor = await startChats(options);
  const app = pageApp();
  expect(await (await app.request("/ada")).text()).toContain("EventSource");
  const { events } = await asked(app, "ada", "the river");
  expect(events.match(/^event: text$/gm)?.length).toBeGreaterThan(1);
  expect(events).toContain("event: result");
  const waiting = await app.request("/ada/turns", { method: "POST", body: "Wait." });
  const { id } = (await waiting.json()) as { readonly id: string };
  await fake.prompted(2);
  const said = [
    { who: "you", text: "the river" },
    { who: "claude", text: "About the river" },
    { who: "you", text: "Wait." },
  ];
  expect(await (await app.request("/ada/said")).json()).toEqual({ said, running: id });
  gate.resolve();
  await (await session(["chat", "ada"]).turn(id))?.result();
  expect(await (await app.request("/ada/said")).json()).toEqual({
    said: [...said, { who: "claude", text: "About Wait." }],
  });
  expect((await app.request("/ada/turns/unknown")).status).toBe(404);
  expect(await (await app.request("/bob/said")).json()).toEqual({ said: [] });
});

test("tutorial/03-page: shows after a reload that an answer was cut", async () => {
  const { options } = onFake(async (turn) => {
    await turn.partial("Once upon");
    await turn.crash({ signal: "SIGKILL" });
  });
  await using _supervisor = await startChats(options);
  const app = pageApp();
  expect((await asked(app, "ada", "story")).events).toContain("event: error");
  expect(await (await app.request("/ada/said")).json()).toEqual({
    said: [
      { who: "you", text: "story" },
      { who: "claude", text: expect.stringMatching(/\[The answer is incomplete\.\]$/) },
    ],
  });
});

test("tutorial/04-approvals: shows what Claude asks, and runs it once somebody says yes", async () => {
  const { options } = onFake(async (turn) => {
    const decision = await turn.askPermission("Bash", { command: "touch note" });
    await turn.text(decision.behavior);
  });
  await using _supervisor = await startWithTools(options);
  const app = approvalsApp();
  const decide = async (approve: boolean): Promise<{ readonly statuses: number[]; readonly events: string }> => {
    const answer = asked(app, "ada", "note");
    const approvals = () => session(["chat", "ada"]).approvals();
    await vi.waitUntil(() => approvals().length === 1);
    const url = `/ada/approvals/${approvals()[0]?.id}`;
    const request = { method: "POST", body: JSON.stringify({ approve }) };
    const statuses = [(await app.request(url, request)).status, (await app.request(url, request)).status];
    return { statuses, events: (await answer).events };
  };
  const yes = await decide(true);
  expect(yes.statuses).toEqual([204, 409]);
  expect(yes.events).toMatch(/event: approval_requested\n(.*\n)*event: approval_settled/);
  expect(yes.events).toContain('"text":"allow"');
  expect((await decide(false)).events).toContain('"text":"deny"');
});

test("tutorial/05-deploy: keeps its journal where the machine says", async () => {
  const sqlite = join(await temporaryFolder(), "chat.db");
  vi.stubEnv("CHAT_JOURNAL", sqlite);
  onTestFinished(() => void vi.unstubAllEnvs());
  const { options } = onFake(remembering);
  {
    await using _supervisor = await startDurable(options);
    await query(["chat", "ada"], "My name is Ada.");
  }
  await using supervisor = await startDurable(options);
  expect((await query(["chat", "ada"], "Who am I?")).text).toBe("You said: My name is Ada.");
  expect(supervisor.inspect()).toMatchObject({ journal: { location: sqlite } });
});

test("tutorial/06-watching: answers probes, metrics and, to those with a token, the page", async () => {
  const { options } = onFake();
  await using supervisor = await startChats(options);
  const app = watching(supervisor, join(await temporaryFolder(), "tokens.jsonl"));
  await query(["chat", "ada"], "Hello");
  expect((await app.request("/livez")).status).toBe(200);
  expect((await app.request("/readyz")).status).toBe(200);
  expect(await (await app.request("/metrics")).text()).toMatch(/^castellan_turns/m);
  const page = await app.request("/agents/castellan/v1/sessions");
  expect(page.status).toBe(401);
});

test("tutorial/07-live: sessions have the key of the environment, and no other credentials", async () => {
  vi.stubEnv("ANTHROPIC_API_KEY", "the-key");
  vi.stubEnv("ANTHROPIC_AUTH_TOKEN", "a-token");
  onTestFinished(() => void vi.unstubAllEnvs());
  const { fake, options } = onFake();
  await using model = await startModel();
  await using _supervisor = await startChats({ ...options, defaults: { ...options.defaults, ...model.defaults } });
  await query(["chat", "ada"], "Hello");
  expect(fake.processes[0]?.env).toMatchObject({ ANTHROPIC_API_KEY: "the-key" });
  expect(fake.processes[0]?.env).not.toHaveProperty("ANTHROPIC_AUTH_TOKEN");
  expect(fake.processes[0]?.model).toBe("claude-sonnet-5");
});

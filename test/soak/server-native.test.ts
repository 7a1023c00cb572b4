import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { CastellanClient, type SessionEvent } from "../../src/client/index.ts";
import { Supervisor, template } from "../../src/index.ts";
import { type ListeningServer, listen } from "../../src/server/index.ts";
import { type MockApi, mockApi } from "../../src/testing/index.ts";

let api: MockApi;

beforeEach(async () => {
  api = await mockApi();
});

afterEach(async () => {
  await api.stop();
});

interface Application {
  readonly supervisor: Supervisor;
  readonly server: ListeningServer;
}

/** Starts the application with its server, as a deploy would. */
async function start(port = 0): Promise<Application> {
  const supervisor = await Supervisor.start([template("support", { approvals: true, includePartialMessages: true })], {
    name: "application",
    journal: { sqlite: join(api.cwd, "..", "journal.sqlite") },
    defaults: { env: api.env, cwd: api.cwd },
  });
  return { supervisor, server: await listen(supervisor, { tokens: false, port }) };
}

async function stop({ supervisor, server }: Application): Promise<void> {
  server.drain();
  await supervisor.stop();
  await server.close();
}

/** Reads events until one is the last. Returns all. */
async function until(
  events: AsyncIterable<SessionEvent>,
  isLast: (event: SessionEvent) => boolean,
): Promise<SessionEvent[]> {
  const seen: SessionEvent[] = [];
  for await (const event of events) {
    seen.push(event);
    if (isLast(event)) break;
  }
  return seen;
}

it("the client: uses the real Claude Code through approvals, a kill of its process and a restart of the server", {
  timeout: 120_000,
}, async () => {
  api.reply("look", { toolUses: [{ name: "Bash", input: { command: "touch looked-at && ls" } }] }, { times: 1 });
  api.reply("forever", { text: "word ".repeat(500), tokensPerSecond: 20 });
  let application = await start();
  const { url } = application.server;
  const client = new CastellanClient({ url });
  const session = client.session(["support", 42]);
  let texts = "";
  // The session does not exist before its first prompt, which the stream needs.
  await expect(session.events().next()).rejects.toMatchObject({ code: "SESSION_NOT_FOUND" });
  const turn = await session.enqueue("Please look.", { metadata: { user: "ann" } });
  const seen = until(session.events({ after: 0, deltas: true }), (event) => {
    if (event.type === "text_delta") texts += event.text;
    return event.type === "text" && typeof event.text === "string" && event.text.includes("after all");
  });
  const [requested] = (await until(session.events({ after: 0 }), ({ type }) => type === "approval_requested")).slice(
    -1,
  );
  if (requested?.type !== "approval_requested") throw new Error("no request");
  expect(await client.approvals()).toMatchObject([{ id: requested.id, tool: "Bash", turnId: turn }]);
  expect(await session.approve(requested.id)).toMatchObject({ first: true, outcome: "approved" });
  expect(await session.wait(turn)).toMatchObject({ state: "completed", metadata: { user: "ann" } });
  // A kill in the middle of an answer.
  const cut = await session.enqueue("Talk forever.");
  await until(session.events({ turn: cut, after: 0, deltas: true }), ({ type }) => type === "text_delta");
  process.kill((await session.get()).status?.pid ?? 0, "SIGKILL");
  expect(await session.wait(cut)).toMatchObject({ state: "interrupted", error: { code: "TURN_INTERRUPTED" } });
  // A prompt that waits over a restart of the application and its server.
  const long = await session.enqueue("Talk forever.");
  await until(session.events({ turn: long, after: 0, deltas: true }), ({ type }) => type === "text_delta");
  const waiting = await session.enqueue("Say it after all.", { idempotencyKey: "order-7" });
  await stop(application);
  application = await start(Number(new URL(url).port));
  expect(await session.wait(long)).toMatchObject({ error: { code: expect.stringMatching(/^TURN_|SUPERVISOR_/) } });
  expect(await session.enqueue("Say it after all.", { idempotencyKey: "order-7" })).toBe(waiting);
  expect((await session.wait(waiting)).reply?.text).toBe("You said: Say it after all.");
  const numbers = (await seen).flatMap(({ number }) => number ?? []);
  expect(numbers).toEqual(numbers.map((_, index) => index + 1));
  expect(texts).toContain("word");
  // A command, the context of the conversation, and its end.
  expect(await session.query({ command: "compact" })).toMatchObject({ command: "compact" });
  expect(await client.health()).toMatchObject({ status: "healthy" });
  expect((await session.usage())[0]?.usage.outputTokens).toBeGreaterThan(0);
  const lines = await Array.fromAsync(session.export());
  expect(lines.some((line) => line.includes('"type":"transcript"'))).toBe(true);
  const report = await session.erase();
  expect(report.events).toBeGreaterThan(numbers.length);
  expect(report.transcripts).toBeGreaterThan(0);
  await stop(application);
});

import { Anthropic } from "@anthropic-ai/sdk";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { global, Supervisor, template } from "../../src/index.ts";
import { sessionIdOf } from "../../src/server/anthropic/ids.ts";
import { SCOPES } from "../../src/server/http/caller.ts";
import { serverHandler } from "../../src/server/index.ts";
import { fakeClaude } from "../../src/testing/index.ts";
import { PostgresServer } from "../journal/postgres-server.ts";
import { isIdle, message, until, untilIdle } from "../server/anthropic-scene.ts";

let server: PostgresServer;

beforeAll(async () => {
  server = await PostgresServer.start();
});

afterAll(async () => {
  await server?.remove();
});

test("a global session: is used by its id", async () => {
  const fake = fakeClaude(async (turn) => {
    await turn.toolUse("Bash", { command: "ls" }, { ask: true });
    await turn.text(`re: ${turn.prompt}`);
  });
  const database = server.fresh();
  const secret = "a secret of at least thirty-two characters";
  const supervisor = await Supervisor.start(
    [template(global("chat"), { approvals: true, permissionMode: "default" })],
    {
      cluster: { ...database, secret, advertise: "http://127.0.0.1:0", name: "one" },
      defaults: { spawnClaudeCodeProcess: fake.spawn },
      logger: { info: () => {}, warn: () => {} },
    },
  );
  onTestFinished(() => supervisor.stop());
  const caller = { id: "ann", scopes: new Set(SCOPES) };
  const handler = serverHandler(supervisor, { authenticate: () => caller, hosts: ["127.0.0.1"] });
  const fetch = async (input: Request | URL | string, init?: RequestInit): Promise<Response> =>
    await handler(new Request(input, init));
  const { sessions } = new Anthropic({ apiKey: "x", baseURL: "http://127.0.0.1/anthropic", fetch }).beta;
  const id = sessionIdOf(["global", "chat", 1]);
  await expect(sessions.retrieve(id)).rejects.toMatchObject({ status: 404 });
  await supervisor.session(global(["chat", 1])).describe({ title: "Ours" });
  const stream = await sessions.events.stream(id);
  await sessions.events.send(id, { events: [message("hi")] });
  const asked = await until(stream, isIdle);
  const call = asked.find(({ type }) => type === "agent.tool_use");
  expect(call).toMatchObject({ evaluated_permission: "ask" });
  const tool_use_id = call !== undefined && "id" in call ? call.id : "";
  const rest = await sessions.events.stream(id);
  const allow = { type: "user.tool_confirmation", tool_use_id, result: "allow" } as const;
  await sessions.events.send(id, { events: [allow] });
  expect(await untilIdle(rest)).toContainEqual(
    expect.objectContaining({ type: "agent.message", content: [{ type: "text", text: "re: hi" }] }),
  );
  expect(await sessions.update(id, { metadata: { a: "1" } })).toMatchObject({ title: "Ours", metadata: { a: "1" } });
  const listed = await Array.fromAsync(sessions.events.list(id));
  expect(listed.filter(({ type }) => type === "user.message" || type === "session.updated")).toHaveLength(2);
  expect(await sessions.retrieve(id)).toMatchObject({ status: "idle", usage: { list_cost: { currency: "USD" } } });
  expect(await sessions.archive(id)).toMatchObject({ status: "terminated" });
  await expect(sessions.events.send(id, { events: [message("hi")] })).rejects.toMatchObject({ status: 400 });
  const gone = await sessions.events.list(id, { order: "desc", limit: 1 });
  expect(gone.data).toMatchObject([{ type: "session.status_terminated" }]);
  expect(await sessions.delete(id)).toEqual({ id, type: "session_deleted" });
});

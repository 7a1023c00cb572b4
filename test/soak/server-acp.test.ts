import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { Readable, Writable } from "node:stream";
import { client, methods, ndJsonStream, PROTOCOL_VERSION, type SessionUpdate } from "@agentclientprotocol/sdk";
import { expect, it } from "vitest";
import { Supervisor } from "../../src/index.ts";
import { listen } from "../../src/server/index.ts";
import { mockApi } from "../../src/testing/index.ts";

const MAIN = join(import.meta.dirname, "../../src/cli/main.ts");

it("acp: an editor uses the real Claude Code, with its tools and permission requests", {
  timeout: 120_000,
}, async () => {
  await using api = await mockApi();
  api.reply("look", { toolUses: [{ name: "Bash", input: { command: "touch looked-at && echo done" } }] }, { times: 1 });
  await using supervisor = await Supervisor.start(
    [{ name: "assistant", approvals: true, includePartialMessages: true }],
    { journal: "memory", defaults: { env: api.env, cwd: api.cwd } },
  );
  await using server = await listen(supervisor, { tokens: false });
  const env = { ...process.env, CASTELLAN_URL: server.url };
  const child = spawn(process.execPath, [MAIN, "acp", "assistant"], { env, stdio: ["pipe", "pipe", "inherit"] });
  const ended = once(child, "exit");
  const updates: SessionUpdate[] = [];
  const requested: unknown[] = [];
  const output = Readable.toWeb(child.stdout) as ReadableStream<Uint8Array>;
  const { agent } = client({ name: "editor" })
    .onNotification(methods.client.session.update, ({ params }) => void updates.push(params.update))
    .onRequest(methods.client.session.requestPermission, ({ params }) => {
      requested.push(params);
      return { outcome: { outcome: "selected", optionId: "allow" } };
    })
    .connect(ndJsonStream(Writable.toWeb(child.stdin), output));
  await agent.request(methods.agent.initialize, { protocolVersion: PROTOCOL_VERSION, clientCapabilities: {} });
  const { sessionId } = await agent.request(methods.agent.session.new, { cwd: api.cwd, mcpServers: [] });
  const { stopReason } = await agent.request(methods.agent.session.prompt, {
    sessionId,
    prompt: [{ type: "text", text: "Please look." }],
  });
  expect(stopReason).toBe("end_turn");
  expect(requested).toMatchObject([{ toolCall: { kind: "execute", title: expect.any(String) } }]);
  expect(existsSync(join(api.cwd, "looked-at"))).toBe(true);
  expect(updates).toContainEqual(expect.objectContaining({ sessionUpdate: "tool_call", kind: "execute" }));
  expect(updates).toContainEqual(expect.objectContaining({ sessionUpdate: "tool_call_update", status: "completed" }));
  const texts = updates.flatMap((update) =>
    update.sessionUpdate === "agent_message_chunk" && update.content.type === "text" ? update.content.text : [],
  );
  // Each text was sent once, whether in pieces or as a whole.
  const events = await supervisor.session("assistant").pastEvents({ types: ["text"] });
  expect(texts.join("")).toBe(events.map((event) => (event.type === "text" ? event.text : "")).join(""));
  expect(texts.join("")).not.toBe("");
  child.stdin.end();
  expect(await ended).toEqual([0, null]);
});

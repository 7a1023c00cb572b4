import { join } from "node:path";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { getDefaultEnvironment, StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import type { Progress } from "@modelcontextprotocol/sdk/types.js";
import { expect, onTestFinished, test } from "vitest";
import { template } from "../../src/application/options/template.ts";
import type { Caller } from "../../src/server/http/caller.ts";
import { listen } from "../../src/server/listen.ts";
import { type FakeScript, fakeClaude } from "../../src/testing/index.ts";
import { NativeScene, OPERATOR } from "./native-scene.ts";

const MAIN = join(import.meta.dirname, "../../src/cli/main.ts");

/** Hangs, or asks for a permission, if the prompt says so. */
const script: FakeScript = async (turn) => {
  if (turn.prompt.startsWith("hang")) await turn.toolUse("Bash", { command: "hang" }, { hang: true });
  if (!turn.prompt.startsWith("write")) return turn.text(`re: ${turn.prompt}`);
  const { behavior } = await turn.askPermission("Write", { file_path: "/tmp/x" });
  await turn.text(behavior);
};

const CALLERS: Readonly<Record<string, Caller>> = {
  operator: OPERATOR,
  reader: { id: "reader", scopes: new Set(["read"]) },
  talker: { id: "talker", scopes: new Set(["read", "talk"]), prefix: "support" },
  approver: { id: "approver", scopes: new Set(["approve"]) },
  other: { id: "other", scopes: new Set(["operate"]) },
};

async function start(): Promise<NativeScene> {
  const scene = await NativeScene.start({
    fake: fakeClaude(script),
    callers: CALLERS,
    children: [{ name: "assistant", approvals: true }, template("support", () => ({}))],
  });
  onTestFinished(() => scene[Symbol.asyncDispose]());
  return scene;
}

async function connected(transport: StdioClientTransport | StreamableHTTPClientTransport): Promise<Client> {
  const client = new Client({ name: "test", version: "1" });
  // The SDK's own types differ under `exactOptionalPropertyTypes`.
  await client.connect(transport as Parameters<Client["connect"]>[0]);
  onTestFinished(() => client.close());
  return client;
}

function overHttp({ server }: NativeScene, token = "operator"): StreamableHTTPClientTransport {
  const requestInit = { headers: { authorization: `Bearer ${token}` } };
  return new StreamableHTTPClientTransport(new URL(`${server.url}/mcp`), { requestInit });
}

function overStdio({ server }: NativeScene, token = "operator"): StdioClientTransport {
  const env = { ...getDefaultEnvironment(), CASTELLAN_URL: server.url, CASTELLAN_TOKEN: token };
  return new StdioClientTransport({ command: process.execPath, args: [MAIN, "mcp"], env, stderr: "inherit" });
}

type Options = Parameters<Client["callTool"]>[2];

/** Calls a tool, and returns what its text is, or the error. */
async function call(client: Client, name: string, args: Record<string, unknown>, options?: Options): Promise<unknown> {
  const { content, isError } = await client.callTool({ name, arguments: args }, undefined, options);
  const [{ text = "" } = {}] = content as { readonly text?: string }[];
  return isError === true ? { error: text } : JSON.parse(text);
}

const namesOf = async (client: Client): Promise<string[]> => (await client.listTools()).tools.map(({ name }) => name);

test("mcp: over HTTP, a client asks a session, and lists what a caller may do and see", async () => {
  const scene = await start();
  const client = await connected(overHttp(scene));
  expect(client.getInstructions()).toContain("Castellan");
  expect(await namesOf(client)).toEqual(["ask", "list", "status", "approve", "deny"]);
  const { tools } = await client.listTools();
  // Models read the schemas, so they have no references.
  expect(JSON.stringify(tools)).not.toContain("$ref");
  for (const { inputSchema } of tools) expect(inputSchema).toMatchObject({ type: "object" });
  const asked = await call(client, "ask", { session: ["support", 42], prompt: "hello" });
  expect(asked).toMatchObject({ state: "completed", text: "re: hello" });
  const { turn } = asked as { readonly turn: string };
  expect(await call(client, "status", { session: ["support", 42], turn })).toEqual(asked);
  expect(await call(client, "list", { prefix: "support" })).toEqual({
    sessions: [{ session: ["support", 42], state: "idle" }],
    next: null,
    approvals: [],
  });
  expect(await call(client, "status", { session: ["support", 42] })).toMatchObject({
    state: "idle",
    turns: [{ turn, state: "completed", prompt: "hello" }],
  });
  expect(await call(client, "ask", { session: "nobody", prompt: "x" })).toEqual({
    error: expect.stringMatching(/^SESSION_NOT_FOUND: /),
  });
  // The server is in no cluster.
  expect(await call(client, "list", { global: true })).toMatchObject({ sessions: [] });

  const talker = await connected(overHttp(scene, "talker"));
  expect(await namesOf(talker)).toEqual(["ask", "list", "status"]);
  expect(await call(talker, "list", {})).toMatchObject({ sessions: [{ session: ["support", 42] }] });
  expect(await call(talker, "status", { session: "assistant" })).toEqual({
    error: expect.stringMatching(/^SESSION_NOT_FOUND: /),
  });
  expect(await namesOf(await connected(overHttp(scene, "reader")))).toEqual(["list", "status"]);
  expect(await namesOf(await connected(overHttp(scene, "approver")))).toEqual(["approve", "deny"]);
  expect(await namesOf(await connected(overHttp(scene, "other")))).toEqual([]);
  await expect(connected(overHttp(scene, "nobody"))).rejects.toThrow(/UNAUTHENTICATED|401/);
});

test.for(["http", "stdio"] as const)("mcp: over %s, a client answers permissions, waits and cancels", async (kind) => {
  const scene = await start();
  const client = await connected(kind === "http" ? overHttp(scene) : overStdio(scene));
  // Returns at once, although the wait is long: the caller is the one who can answer.
  const waiting = (await call(client, "ask", { session: "assistant", prompt: "write it" })) as {
    readonly turn: string;
    readonly approvals: readonly { readonly approval: string }[];
  };
  expect(waiting).toMatchObject({ state: "running", approvals: [{ session: "assistant", tool: "Write" }] });
  const [{ approval } = { approval: "" }] = waiting.approvals;
  expect(await call(client, "list", {})).toMatchObject({ approvals: [{ approval, turn: waiting.turn }] });
  expect(await call(client, "approve", { session: "assistant", approval })).toMatchObject({
    first: true,
    outcome: "approved",
  });
  const after = { session: "assistant", turn: waiting.turn, waitSeconds: 60 };
  expect(await call(client, "status", after)).toMatchObject({ state: "completed", text: "allow" });
  expect(await call(client, "deny", { session: "assistant", approval })).toMatchObject({ first: false });

  // A wait that is over leaves the turn alone.
  const hung = await call(client, "ask", { session: ["support", 1], prompt: "hang", waitSeconds: 0.1 });
  expect(hung).toMatchObject({ state: expect.stringMatching(/^(?:accepted|queued|running)$/) });

  const cancel = new AbortController();
  const session = scene.client().session(["support", 2]);
  const ended = (async () => {
    for await (const event of scene.supervisor.session(["support", 2]).events()) {
      if (event.type === "tool_use") cancel.abort(new Error("enough"));
      if (event.type === "turn_ended") return;
    }
  })();
  const asking = call(client, "ask", { session: ["support", 2], prompt: "hang" }, { signal: cancel.signal });
  await expect(asking).rejects.toThrow("enough");
  await ended;
  expect((await session.turns()).turns).toMatchObject([{ state: "interrupted", prompt: "hang" }]);
  expect(await call(client, "ask", { session: ["support", 2], prompt: "again" })).toMatchObject({ text: "re: again" });
});

test("mcp: a long wait tells its progress, and a drain of the server ends it without an error", async () => {
  const scene = await start();
  const client = await connected(overHttp(scene));
  const { promise: told, resolve } = Promise.withResolvers<Progress>();
  const asking = call(client, "ask", { session: ["support", 1], prompt: "hang" }, { onprogress: resolve });
  expect(await told).toMatchObject({ progress: 1, message: "The session has worked for 1 s." });
  scene.server.drain();
  expect(await asking).toMatchObject({ state: "running" });
});

test("mcp: over HTTP, refuses what is no session of the caller", async () => {
  const scene = await start();
  const headers = { accept: "application/json, text/event-stream", "content-type": "application/json" };
  const post = async (body: unknown, token: string, id?: string, method = "POST"): Promise<Response> =>
    await fetch(`${scene.server.url}/mcp`, {
      method,
      headers: { ...headers, authorization: `Bearer ${token}`, ...(id !== undefined && { "mcp-session-id": id }) },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
  const hello = {
    jsonrpc: "2.0",
    id: 1,
    method: "initialize",
    params: { protocolVersion: "2025-06-18", capabilities: {}, clientInfo: { name: "test", version: "1" } },
  };
  const list = { jsonrpc: "2.0", id: 2, method: "tools/list" };
  const status = async (answer: Promise<Response>): Promise<number> => {
    const response = await answer;
    await response.body?.cancel();
    return response.status;
  };
  const first = await post(hello, "reader");
  const id = first.headers.get("mcp-session-id") ?? "";
  await first.body?.cancel();
  expect(await status(post(list, "reader", id))).toBe(200);
  expect(await status(post(list, "talker", id))).toBe(404);
  expect(await status(post(list, "reader", "another"))).toBe(404);
  expect(await status(post(list, "reader"))).toBe(400);
  expect(await status(post(undefined, "reader"))).toBe(400);
  expect(await status(post({ not: "JSON-RPC" }, "reader", id))).toBe(400);
  // There is no stream beside the answers.
  expect(await status(post(undefined, "reader", id, "GET"))).toBe(405);
  // A caller has 64 sessions of MCP: a new one ends the oldest of the same caller.
  const others: string[] = [];
  for (let count = 0; count < 64; count++) {
    const response = await post(hello, "reader");
    others.push(response.headers.get("mcp-session-id") ?? "");
    await response.body?.cancel();
  }
  expect(await status(post(list, "reader", id))).toBe(404);
  expect(await status(post(list, "reader", others[0]))).toBe(200);
  expect(await status(post(undefined, "reader", others[0], "DELETE"))).toBe(200);
  expect(await status(post(list, "reader", others[0]))).toBe(404);
});

test("mcp: over stdio, `ask` outlives a restart of the server, and the command ends with its input", async () => {
  const scene = await start();
  const transport = overStdio(scene, "talker");
  const client = await connected(transport);
  const session = scene.supervisor.session(["support", 7]);
  const begun = (async () => {
    for await (const event of session.events()) if (event.type === "tool_use") return;
  })();
  const asking = call(client, "ask", { session: ["support", 7], prompt: "hang" });
  await begun;
  await scene.server.close({ deadline: 0 });
  const port = Number(new URL(scene.server.url).port);
  await using _ = await listen(scene.supervisor, { tokens: false, authenticate: () => CALLERS["talker"], port });
  await session.interrupt();
  expect(await asking).toMatchObject({ state: "interrupted", error: { code: "TURN_INTERRUPTED" } });
  const { pid } = transport;
  await client.close();
  expect(() => process.kill(pid ?? 0, 0)).toThrow("ESRCH");
});

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { Readable, Writable } from "node:stream";
import {
  type ClientContext,
  client,
  methods,
  ndJsonStream,
  PROTOCOL_VERSION,
  type PromptRequest,
  type RequestPermissionRequest,
  type RequestPermissionResponse,
  type SessionUpdate,
} from "@agentclientprotocol/sdk";
import { expect, onTestFinished, test } from "vitest";
import { template } from "../../src/application/options/template.ts";
import { withoutVoid } from "../../src/cli/acp/acp-updates.ts";
import type { SessionEvent } from "../../src/client/index.ts";
import { type FakeScript, fakeClaude } from "../../src/testing/index.ts";
import { served } from "./served.ts";

const MAIN = join(import.meta.dirname, "../../src/cli/main.ts");

/** Uses a tool that works, one that waits for permission, or one that hangs, if the prompt says so. */
const script: FakeScript = async (turn) => {
  if (turn.prompt.startsWith("hang")) await turn.toolUse("Bash", { command: "hang" }, { hang: true });
  if (turn.prompt.startsWith("look")) await turn.toolUse("Read", { file_path: "/tmp/x" }, { result: "the text" });
  if (turn.prompt.startsWith("choose")) {
    const permission = await turn.askPermission("AskUserQuestion", {
      questions: [question("Color?"), question("Size?")],
    });
    return turn.text(JSON.stringify("updatedInput" in permission ? permission.updatedInput?.["answers"] : permission));
  }
  if (!turn.prompt.startsWith("write")) return turn.text(`re: ${turn.prompt}`);
  const { behavior } = await turn.askPermission("Write", { file_path: "/tmp/x" });
  await turn.text(behavior);
};

const question = (text: string): object => ({
  question: text,
  header: text,
  multiSelect: false,
  options: ["one", "two"].map((label) => ({ label, description: label })),
});

type Answer = (request: RequestPermissionRequest) => RequestPermissionResponse | Promise<RequestPermissionResponse>;

/** An editor that uses `castellan acp`. */
class Editor {
  readonly updates: SessionUpdate[] = [];
  readonly requests: RequestPermissionRequest[] = [];
  answer: Answer = () => ({ outcome: { outcome: "selected", optionId: "allow" } });
  onUpdate: (update: SessionUpdate) => void = () => {};
  readonly #child: ChildProcess;
  #warnings = "";
  readonly agent: ClientContext;

  constructor(url: string, name: string) {
    const env = { ...process.env, CASTELLAN_URL: url };
    this.#child = spawn(process.execPath, [MAIN, "acp", name], { env, stdio: ["pipe", "pipe", "pipe"] });
    const { stdin, stdout, stderr } = this.#child;
    if (stdin === null || stdout === null || stderr === null) throw new Error("no pipes");
    stderr.on("data", (data) => {
      this.#warnings += data;
    });
    const stream = ndJsonStream(Writable.toWeb(stdin), Readable.toWeb(stdout) as ReadableStream<Uint8Array>);
    const connection = client({ name: "editor" })
      .onNotification(methods.client.session.update, ({ params }) => {
        this.updates.push(params.update);
        this.onUpdate(params.update);
      })
      .onRequest(methods.client.session.requestPermission, async ({ params }) => {
        this.requests.push(params);
        return await this.answer(params);
      })
      .connect(stream);
    this.agent = connection.agent;
    onTestFinished(() => this.close());
  }

  get warnings(): string {
    return this.#warnings;
  }

  text(kind: SessionUpdate["sessionUpdate"] = "agent_message_chunk"): string {
    const chunks = this.updates.flatMap((update) =>
      update.sessionUpdate === kind && "content" in update && isText(update.content) ? update.content.text : [],
    );
    return chunks.join("");
  }

  async start(): Promise<string> {
    const { protocolVersion, agentCapabilities } = await this.agent.request(methods.agent.initialize, {
      protocolVersion: PROTOCOL_VERSION,
      clientCapabilities: {},
    });
    expect(protocolVersion).toBe(PROTOCOL_VERSION);
    expect(agentCapabilities).toMatchObject({ loadSession: true });
    return (await this.agent.request(methods.agent.session.new, { cwd: "/", mcpServers: [] })).sessionId;
  }

  async prompt(sessionId: string, text: string): Promise<string> {
    const request: PromptRequest = { sessionId, prompt: [{ type: "text", text }] };
    return (await this.agent.request(methods.agent.session.prompt, request)).stopReason;
  }

  /** Ends the input of the command. */
  async close(): Promise<void> {
    if (this.#child.exitCode !== null) return;
    const ended = once(this.#child, "exit");
    this.#child.stdin?.end();
    await ended;
  }
}

function isText(content: unknown): content is { readonly text: string } {
  return typeof content === "object" && content !== null && "text" in content && typeof content.text === "string";
}

async function start(): Promise<Awaited<ReturnType<typeof served>>> {
  return await served(
    [{ name: "assistant", approvals: true }, template("support", () => ({}))],
    {},
    fakeClaude(script),
  );
}

test("acp: an editor prompts the named session, sees its tools, and loads it with all that was said", async () => {
  const { scene, url } = await start();
  const editor = new Editor(url, "support/42");
  const id = await editor.start();
  expect(id).toBe("support/42");
  expect(await editor.prompt(id, "look here")).toBe("end_turn");
  expect(editor.text()).toBe("re: look here");
  const calls = editor.updates.filter(({ sessionUpdate }) => sessionUpdate.startsWith("tool_call"));
  expect(calls).toMatchObject([
    { sessionUpdate: "tool_call", title: "Read: /tmp/x", kind: "read", locations: [{ path: "/tmp/x" }] },
    { sessionUpdate: "tool_call_update", status: "completed", content: [{ content: { text: "the text" } }] },
  ]);
  expect(await scene.supervisor.session(["support", 42]).turns()).toMatchObject([{ prompt: "look here" }]);

  const later = new Editor(url, "support/42");
  await later.start();
  const loading = { sessionId: id, cwd: "/", mcpServers: [{ name: "x", command: "/x", args: [], env: [] }] };
  await later.agent.request(methods.agent.session.load, loading);
  expect(later.text("user_message_chunk")).toBe("look here");
  expect(later.text()).toBe("re: look here");
  expect(later.updates.filter(({ sessionUpdate }) => sessionUpdate.startsWith("tool_call"))).toHaveLength(2);
  expect(later.warnings).toContain("MCP servers are not used");
  const other = { sessionId: "assistant", cwd: "/", mcpServers: [] };
  await expect(later.agent.request(methods.agent.session.load, other)).rejects.toThrow();
});

test("acp: permission requests of a turn appear in the editor, whose answers count unless somebody was faster", async () => {
  const { scene, url } = await start();
  const editor = new Editor(url, "assistant");
  const id = await editor.start();
  expect(await editor.prompt(id, "write it")).toBe("end_turn");
  expect(editor.requests).toMatchObject([{ sessionId: id, toolCall: { title: expect.stringContaining("/tmp/x") } }]);
  expect(editor.text()).toBe("allow");
  editor.answer = () => ({ outcome: { outcome: "selected", optionId: "deny" } });
  expect(await editor.prompt(id, "write it again")).toBe("end_turn");
  expect(editor.text()).toBe("allowdeny");
  // Somebody else answers while the editor still shows the question.
  editor.answer = async () => {
    const [approval] = scene.supervisor.session("assistant").approvals();
    expect(approval?.approve()).toBe(true);
    return await new Promise(() => {});
  };
  expect(await editor.prompt(id, "write a third time")).toBe("end_turn");
  expect(editor.text()).toBe("allowdenyallow");
});

test("acp: each question of Claude's is one request of the editor", async () => {
  const { url } = await start();
  const editor = new Editor(url, "assistant");
  const id = await editor.start();
  editor.answer = ({ toolCall }) => {
    return { outcome: { outcome: "selected", optionId: toolCall.title === "Color?" ? "0" : "1" } };
  };
  expect(await editor.prompt(id, "choose")).toBe("end_turn");
  expect(editor.requests.map(({ options }) => options.map(({ name }) => name))).toEqual([
    ["one", "two", "Do not answer"],
    ["one", "two", "Do not answer"],
  ]);
  expect(JSON.parse(editor.text())).toEqual({ "Color?": "one", "Size?": "two" });
});

test("acp: cancelling interrupts the turn, and errors of the server reach the editor", async () => {
  const { scene, url } = await start();
  const editor = new Editor(url, "assistant");
  const id = await editor.start();
  editor.onUpdate = ({ sessionUpdate }) => {
    if (sessionUpdate === "tool_call") void editor.agent.notify(methods.agent.session.cancel, { sessionId: id });
  };
  expect(await editor.prompt(id, "hang")).toBe("cancelled");
  expect(await scene.supervisor.session("assistant").turns()).toMatchObject([{ state: "interrupted" }]);
  expect(await editor.prompt(id, "hello")).toBe("end_turn");
  const audio = { type: "audio" as const, data: "", mimeType: "audio/wav" };
  const asking = editor.agent.request(methods.agent.session.prompt, { sessionId: id, prompt: [audio] });
  await expect(asking).rejects.toMatchObject({ code: -32602 });
  const stray = new Editor(url, "nobody");
  const nobody = await stray.start();
  await expect(stray.prompt(nobody, "hello")).rejects.toMatchObject({ data: { code: "SESSION_NOT_FOUND" } });
});

test("acp: what a retry has made void is not loaded", () => {
  const event = (type: string, number: number, turnId = "t"): SessionEvent =>
    ({ type, number, turnId, v: 1, at: 0 }) as SessionEvent;
  const events = [
    event("turn_accepted", 1),
    event("turn_started", 2),
    event("text", 3),
    event("turn_accepted", 4, "u"),
    event("turn_retried", 5),
    event("turn_started", 6),
    event("text", 7),
  ];
  expect(withoutVoid(events).map(({ number }) => number)).toEqual([1, 4, 6, 7]);
});

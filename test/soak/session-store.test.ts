import { rm } from "node:fs/promises";
import { join } from "node:path";
import { getSessionMessages } from "@anthropic-ai/claude-agent-sdk";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { query, Supervisor } from "../../src/index.ts";
import { type PostgresSessionStore, postgresSessionStore } from "../../src/journal/postgres/postgres-session-store.ts";
import { type MockApi, mockApi } from "../../src/testing/index.ts";
import { PostgresServer } from "../journal/postgres-server.ts";

let server: PostgresServer;
let api: MockApi;
let sessionStore: PostgresSessionStore;

beforeAll(async () => {
  server = await PostgresServer.start();
});

afterAll(async () => {
  await server?.remove();
});

beforeEach(async () => {
  api = await mockApi();
  sessionStore = postgresSessionStore(server.fresh());
});

afterEach(async () => {
  await sessionStore.close();
  await api.stop();
});

/** Removes the transcripts of this machine. */
async function loseTranscripts(): Promise<void> {
  await rm(join(api.env["CLAUDE_CONFIG_DIR"] ?? "", "projects"), { recursive: true });
}

describe("a conversation in a session store", () => {
  it("is resumed after the machine's transcript is lost", async () => {
    const defaults = { env: api.env, cwd: api.cwd, sessionStore };
    const before = await Supervisor.start([{ name: "kept" }], { defaults });
    await query("kept", "My number is 17.");
    const { conversationId } = before.session("kept").status();
    await before.stop();
    await loseTranscripts();
    if (conversationId === undefined) throw new Error("no conversation");

    await using after = await Supervisor.start([{ name: "kept", resume: conversationId }], { defaults });
    const reply = await query("kept", "What did I just say?");

    expect(reply.text).toBe("You just said: My number is 17.");
    expect(reply.sessionId).toBe(conversationId);
    expect(after.session("kept").status().conversationId).toBe(conversationId);
    const messages = await getSessionMessages(conversationId, { dir: api.cwd, sessionStore });
    const said = messages.filter(({ type }) => type === "user").map(({ message }) => message);
    expect(said).toEqual([
      { role: "user", content: expect.anything() },
      { role: "user", content: expect.anything() },
    ]);
  });

  it("is resumed from the store after a kill", async () => {
    await using supervisor = await Supervisor.start([{ name: "killed" }], {
      defaults: { env: api.env, cwd: api.cwd, sessionStore },
    });
    await query("killed", "My number is 18.");
    const { pid } = supervisor.session("killed").status();
    if (pid === undefined) throw new Error("no process");
    await loseTranscripts();
    process.kill(pid, "SIGKILL");
    expect((await query("killed", "What did I just say?")).text).toBe("You just said: My number is 18.");
  });
});

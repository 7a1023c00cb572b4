import { InMemorySessionStore, type SessionKey, type SessionStore } from "@anthropic-ai/claude-agent-sdk";
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from "vitest";
import { Supervisor } from "../../src/index.ts";
import { postgresSessionStore } from "../../src/journal/postgres/postgres-session-store.ts";
import { type MessagesApi, messagesApi } from "../../src/testing/index.ts";
import { PostgresServer } from "../journal/postgres-server.ts";
import { unique } from "../session-on-fake/scene.ts";

const TOO_LONG = "prompt is too long: 210000 tokens > 200000 maximum";

let api: MessagesApi;
let server: PostgresServer;

beforeAll(async () => {
  server = await PostgresServer.start();
});

afterAll(async () => {
  await server?.remove();
});

beforeEach(async () => {
  api = await messagesApi();
});

afterEach(async () => {
  await api.stop();
});

/**
 * Returns a store that keeps the first `count` entries of a compaction and drops the rest, as if its host had died,
 * until `resume`.
 */
function cutStore(inner: SessionStore, count: number) {
  let left = Number.POSITIVE_INFINITY;
  const dropped = Promise.withResolvers<void>();
  const append: SessionStore["append"] = async (key, entries) => {
    if (key.subpath !== undefined) return await inner.append(key, entries);
    const begin = entries.findIndex(({ subtype }) => subtype === "compact_boundary");
    if (begin !== -1) left = begin + count;
    const taken = entries.slice(0, left);
    left -= taken.length;
    if (taken.length > 0) await inner.append(key, taken);
    if (left === 0) dropped.resolve();
  };
  const load = (key: SessionKey): ReturnType<SessionStore["load"]> => inner.load(key);
  const resume = (): void => {
    left = Number.POSITIVE_INFINITY;
  };
  return { store: { append, load }, dropped: dropped.promise, resume: resume };
}

const memory = (): SessionStore => new InMemorySessionStore();
const postgres = (): SessionStore => postgresSessionStore(server.fresh());

it.each([
  [1, "memory", memory],
  [2, "memory", memory],
  [3, "memory", memory],
  [4, "memory", memory],
  [1, "PostgreSQL", postgres],
  [4, "PostgreSQL", postgres],
] as const)(
  "a compacted turn cut with %i entries of its compaction in %s: is resumed with the whole compaction or without it",
  async (count, _, open) => {
    const [name, inner] = [unique(), open()];
    const { store, dropped, resume } = cutStore(inner, count);
    await using supervisor = await Supervisor.start([{ name, allowedTools: ["Bash"] }], {
      journal: "memory",
      defaults: { env: api.env, cwd: api.cwd, sessionStore: store, sessionStoreFlush: "eager" },
    });
    const session = supervisor.session(name);
    for (const prompt of ["one", "two", "three"]) await session.query(prompt);
    // The turn's request is too long, is compacted, and then uses a tool that does not end.
    let refused = false;
    api.model = ({ body }) => {
      const asked = JSON.stringify(body.messages);
      if (asked.includes("Do NOT call any tools")) return { text: "A summary." };
      if (!refused) {
        refused = true;
        return { error: { status: 400, message: TOO_LONG } };
      }
      return { toolUses: [{ name: "Bash", input: { command: "tail -f /dev/null", description: "Wait" } }] };
    };
    const turn = session.stream("big");
    const cut = expect(turn.result()).rejects.toMatchObject({ code: "TURN_INTERRUPTED" });
    for await (const _ of turn.toolUses()) break;
    await dropped;
    api.model = () => ({ text: "ok" });
    const { pid, conversationId } = session.status();
    if (pid === undefined) throw new Error("no process");
    process.kill(pid, "SIGKILL");
    await cut;
    resume();

    const isWhole = count === 4;
    const send = async (prompt: string): Promise<boolean[]> => {
      await session.query(prompt);
      const texts = JSON.stringify(api.lastRequest?.texts);
      expect(texts).toContain("big");
      return [texts.includes('"one"'), texts.includes("A summary.")];
    };
    const expected = isWhole ? [false, true] : [true, false];
    expect(await send("last")).toEqual(expected);
    // Later entries follow the half compaction in the store.
    await session.hibernate();
    expect(await send("later")).toEqual(expected);
    expect(JSON.stringify(api.lastRequest?.texts)).toContain('"last"');
    expect(session.status().conversationId).toBe(conversationId);
    if ("close" in inner && typeof inner.close === "function") await inner.close();
  },
);

import { existsSync, globSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { InMemorySessionStore, type SessionKey, type SessionStoreEntry } from "@anthropic-ai/claude-agent-sdk";
import { expect, it } from "vitest";
import { type SessionOptions, Supervisor } from "../../src/index.ts";
import { type MessagesApi, messagesApi } from "../../src/testing/index.ts";
import { unique } from "../session-on-fake/scene.ts";

/** Answers each prompt with "answer to …", but calls a tool in its first answer to "two". */
function modelOf(api: MessagesApi, sign: string): MessagesApi["model"] {
  let asked = 0;
  return () => {
    const prompts = api.lastRequest?.texts.filter(({ role }) => role === "user").map(({ text }) => text.trim()) ?? [];
    const prompt = ["four", "three", "two", "one"].find((word) => prompts.includes(word)) ?? "";
    if (prompt !== "two" || asked++ > 0) return { text: `answer to ${prompt}` };
    const command = `touch ${sign}; timeout 20 tail -f /dev/null`;
    return { text: "I begin.", toolUses: [{ name: "Bash", input: { command, description: "Begin" } }] };
  };
}

const isNamed = ({ type }: { readonly type?: string }): boolean => type === "last-prompt";

/**
 * The entries that a process leaves if it is killed before it writes its last-prompt entry: of those entries, the ones
 * before `kept` stay.
 */
function asKilled<Entry extends { readonly type?: string }>(entries: readonly Entry[], kept: number): Entry[] {
  return entries.filter((entry, index) => !isNamed(entry) || index < kept);
}

/** Where entries are kept, and how to replace them. */
interface Kept {
  readonly options: Partial<SessionOptions>;
  read(): Promise<SessionStoreEntry[]>;
  write(entries: SessionStoreEntry[]): Promise<Partial<SessionOptions>>;
}

function inFile(api: MessagesApi): Kept {
  const file = (): string => globSync(`${api.env["CLAUDE_CONFIG_DIR"]}/projects/*/*.jsonl`)[0] ?? "";
  return {
    options: {},
    read: async () =>
      readFileSync(file(), "utf8")
        .split("\n")
        .filter(Boolean)
        .map((line) => JSON.parse(line)),
    write: async (entries) => {
      writeFileSync(file(), entries.map((entry) => `${JSON.stringify(entry)}\n`).join(""));
      return {};
    },
  };
}

function inStore(): Kept {
  let key: SessionKey | undefined;
  const store = new InMemorySessionStore();
  const append = store.append.bind(store);
  store.append = async (given, entries) => {
    key = given;
    await append(given, entries);
  };
  return {
    options: { sessionStore: store, sessionStoreFlush: "eager" },
    read: async () => (key && (await store.load(key))) ?? [],
    write: async (entries) => {
      const sessionStore = new InMemorySessionStore();
      if (key !== undefined) await sessionStore.append(key, entries);
      return { sessionStore };
    },
  };
}

it.each<[string, (api: MessagesApi) => Kept]>([
  ["a file", inFile],
  ["a session store", inStore],
])(
  "Resume of %s: continues from the last message, even if a killed process has not recorded it and an older record names an abandoned branch",
  async (_, keep) => {
    await using api = await messagesApi(() => ({ text: "" }));
    const kept = keep(api);
    const sign = join(api.cwd, "begun");
    api.model = modelOf(api, sign);
    const name = unique();
    const defaults = { env: api.env, cwd: api.cwd, allowedTools: ["Bash"], onInterruptedTurn: "retry" as const };
    const start = (options: Partial<SessionOptions>) =>
      Supervisor.start([{ name, ...options }], { journal: "memory", defaults });
    let conversation: string | undefined;
    let cutOff = 0;
    {
      await using supervisor = await start(kept.options);
      const session = supervisor.session(name);
      await session.query("one");
      const two = session.query("two");
      await expect.poll(() => existsSync(sign), { timeout: 20_000 }).toBe(true);
      // Its process ends in order in the middle of the turn, which then runs again on another branch.
      await session.restart();
      cutOff = (await kept.read()).findLastIndex(isNamed) + 1;
      await two;
      await session.query("three");
      conversation = session.status().conversationId;
    }
    const entries = await kept.read();
    const killed = asKilled(entries, cutOff);
    // Otherwise the test would show nothing.
    expect(killed.length).toBeLessThan(entries.length);

    await using supervisor = await start({
      ...(await kept.write(killed)),
      ...(conversation && { resume: conversation }),
    });
    const session = supervisor.session(name);
    await session.query("four");
    const said = api.lastRequest?.texts.map(({ text }) => text.trim()) ?? [];
    const words = ["one", "answer to one", "two", "answer to two", "three", "answer to three", "four"];
    expect(said.filter((text) => words.includes(text))).toEqual(words);
    expect(session.status().faults).toEqual([]);
  },
);

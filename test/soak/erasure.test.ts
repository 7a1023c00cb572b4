import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type ExportedLine, query, Supervisor, session, template } from "../../src/index.ts";
import { postgresSessionStore } from "../../src/journal/postgres/postgres-session-store.ts";
import { type MessagesApi, messagesApi } from "../../src/testing/index.ts";
import type { MessagesRequest } from "../../src/testing/mock-api/messages-request.ts";
import { RealCluster } from "../cluster/real-cluster.ts";
import { PostgresServer } from "../journal/postgres-server.ts";
import { unique } from "../session-on-fake/scene.ts";

const SECRET = "carols-secret-7f3a";

let api: MessagesApi;
/** The directory of everything that Claude Code and the journal write. */
let root: string;

beforeEach(async () => {
  api = await messagesApi(answer);
  root = dirname(api.cwd);
  for (const folder of ["tmp", "journal"]) mkdirSync(join(root, folder));
});

afterEach(async () => {
  await api.stop();
});

const config = (): string => api.env["CLAUDE_CONFIG_DIR"] ?? "";
const journal = (): { sqlite: string } => ({ sqlite: join(root, "journal", "castellan.db") });
const defaults = () => ({
  env: { ...api.env, TMPDIR: join(root, "tmp") },
  cwd: api.cwd,
  debug: true,
  enableFileCheckpointing: true,
  canUseTool: async (_: string, input: Record<string, unknown>) =>
    ({ behavior: "allow", updatedInput: input }) as const,
});

/** Returns the file of Claude Code's memory of the working directory. */
const memory = (): string => join(config(), "projects", api.cwd.replace(/[^a-zA-Z0-9]/g, "-"), "memory", "MEMORY.md");

/** Returns the tools that the model uses in sequence when a prompt asks for everything. */
function steps(word: string, plan: string): { name: string; input: object }[] {
  return [
    { name: "Bash", input: { command: `echo ${word}; seq 1 20000`, description: word } },
    { name: "Write", input: { file_path: join(api.cwd, "notes.txt"), content: "before" } },
    { name: "Edit", input: { file_path: join(api.cwd, "kept.txt"), old_string: word, new_string: "gone" } },
    { name: "Write", input: { file_path: memory(), content: `remember ${word}` } },
    { name: "Agent", input: { description: "d", prompt: `subtask ${word}`, subagent_type: "general-purpose" } },
    { name: "Bash", input: { command: `echo ${word}; tail -f /dev/null`, run_in_background: true, description: "b" } },
    { name: "EnterPlanMode", input: {} },
    ...(plan === "" ? [] : [{ name: "Write", input: { file_path: plan, content: `plan ${word}` } }]),
  ];
}

function answer({ texts, body }: MessagesRequest): { text: string } | { toolUses: { name: string; input: object }[] } {
  const all = JSON.stringify(body.messages);
  const asked = texts.findLast(({ role, text }) => role === "user" && text.includes("everything of"))?.text ?? "";
  const word = /everything of ([\w-]+)/.exec(asked)?.[1];
  if (word === undefined || all.includes(`subtask ${word}\\"`) || !all.includes("everything of")) return { text: "ok" };
  const [plan = ""] = /[\w/.-]*plans\/[\w.-]+\.md/.exec(all) ?? [];
  const next = steps(word, plan)[(all.match(/"tool_use_id"/g) ?? []).length];
  return next === undefined ? { text: `all of ${word}` } : { toolUses: [next] };
}

/** Returns the files below `root` whose content or path contains the text, except those in the working directory. */
function holding(text: string): string[] {
  const inside = run("grep", ["-rlaF", text, root]);
  const named = run("find", [root, "-name", `*${text}*`]);
  return [...new Set([...inside, ...named])].filter((path) => !path.startsWith(`${api.cwd}/`)).toSorted();
}

function run(command: string, args: readonly string[]): string[] {
  try {
    return execFileSync(command, args, { encoding: "utf8" }).split("\n").filter(Boolean);
  } catch {
    // `grep` exits with 1 if it finds nothing.
    return [];
  }
}

async function exported(supervisor: Supervisor, name: readonly [string, string]): Promise<ExportedLine[]> {
  return (await Array.fromAsync(supervisor.exportSession(name))).map((line) => JSON.parse(line) as ExportedLine);
}

describe("Supervisor.eraseSession", () => {
  it("leaves nothing of the session's conversations on disk, and everything of another session", async () => {
    writeFileSync(join(api.cwd, "kept.txt"), SECRET);
    const name = unique("user");
    const [carol, dave] = [
      [name, "carol-9d2e"],
      [name, "dave"],
    ] as const;
    await using supervisor = await Supervisor.start([template(name)], { journal: journal(), defaults: defaults() });
    await query(dave, "everything of daves-word");
    await query(carol, `first, with ${SECRET}`);
    const ids = [session(carol).status().conversationId];
    await session(carol).clear();
    await query(carol, `everything of ${SECRET}`);
    ids.push(session(carol).status().conversationId);
    await session(carol).restart();
    await query(carol, `and again, with ${SECRET}`);
    const held = holding(SECRET);
    // Without these files the test would prove nothing.
    for (const part of ["plans/", "tool-results/", "subagents/", "file-history/", "/memory/", "/tmp/claude-", ".db"]) {
      expect(
        held.filter((path) => path.includes(part)),
        `of ${part}, in ${held.join(" ")}`,
      ).not.toEqual([]);
    }
    const lines = await exported(supervisor, carol);
    expect(new Set(lines.map(({ type }) => type))).toEqual(
      new Set(["session", "turn", "event", "usage", "transcript", "file", "memory"]),
    );
    const files = lines.flatMap((line) => (line.type === "file" ? [line.path] : []));
    const transcribed = lines.filter((line) => line.type === "transcript" && JSON.stringify(line).includes(SECRET));
    expect(transcribed.length).toBeGreaterThan(5);
    // Every file that contains the secret is exported.
    const others = held.filter((path) => !/\.jsonl$|\/memory\/|\/journal\//.test(path));
    expect(files).toEqual(expect.arrayContaining(others));

    const turns = lines.filter(({ type }) => type === "turn").length;
    const report = await supervisor.eraseSession(carol);
    expect(report).toMatchObject({ turns, conversations: ids, transcripts: 2 });
    expect(report.files).toBeGreaterThanOrEqual(files.length);
    expect(report.left).toEqual([{ what: "memory", where: dirname(memory()), why: expect.any(String) }]);
    expect(holding(SECRET)).toEqual([memory()]);
    expect(holding("carol-9d2e")).toEqual([]);
    for (const id of ids) expect(holding(id).filter((path) => !/\.claude\.json|plugins\/store/.test(path))).toEqual([]);
    expect(await exported(supervisor, carol)).toMatchObject([
      { type: "session", conversations: [] },
      { type: "memory" },
    ]);

    expect(await supervisor.eraseSession(carol, { memory: true })).toMatchObject({ turns: 0, files: 1, left: [] });
    expect(holding(SECRET)).toEqual([]);
    // The other session is unchanged.
    expect(holding("daves-word").length).toBeGreaterThan(4);
    expect((await session(dave).transcript()).length).toBeGreaterThan(2);
    await query(carol, "who am I?");
    expect(JSON.stringify(api.lastRequest?.body)).not.toContain(SECRET);
    expect(api.errors).toEqual([]);
  });

  it('is matched by stop with conversation "clear", also in the files of the journal', async () => {
    const name = unique();
    const supervisor = await Supervisor.start([{ name }], { journal: journal(), defaults: defaults() });
    await query(name, `one, ${SECRET}`);
    await session(name).clear();
    await query(name, `two, ${SECRET}`);
    expect(holding(SECRET).length).toBeGreaterThan(2);
    await session(name).stop({ conversation: "clear" });
    expect(holding(SECRET)).toEqual([]);
    await supervisor.stop();
    expect(holding(SECRET)).toEqual([]);
  });

  it("erases a session that only the journal knows, after its host was killed", async () => {
    const name = unique("user");
    const first = await Supervisor.start([template(name)], { journal: journal(), defaults: defaults() });
    await query([name, "a"], `one, ${SECRET}`);
    await first.stop({ kill: true });
    // The SDK leaves this directory when a host dies that had resumed a conversation from a session store.
    const [transcript = ""] = holding(SECRET).filter((path) => path.endsWith(".jsonl"));
    const resumed = join(root, "tmp", "claude-resume-1", "projects", "-work");
    mkdirSync(resumed, { recursive: true });
    writeFileSync(join(resumed, transcript.slice(transcript.lastIndexOf("/") + 1)), readFileSync(transcript));
    await using second = await Supervisor.start([], { journal: journal(), defaults: defaults() });
    expect(await second.eraseSession([name, "a"])).toMatchObject({ turns: 1, transcripts: 1, left: [] });
    expect(holding(SECRET)).toEqual([]);
    expect(readdirSync(resumed)).toEqual([]);
  });
});

describe("Supervisor.eraseSession with transcripts in PostgreSQL", () => {
  let server: PostgresServer;

  beforeAll(async () => {
    server = await PostgresServer.start();
  });

  afterAll(async () => {
    await server?.remove();
  });

  it("erases a session from the store, the journal and this machine", async () => {
    const name = unique();
    const place = server.fresh();
    await using sessionStore = postgresSessionStore(place);
    await using supervisor = await Supervisor.start([{ name }], {
      journal: place,
      // With a session store Claude Code keeps no earlier versions of files.
      defaults: { ...defaults(), enableFileCheckpointing: false, sessionStore },
    });
    await query(name, `one, ${SECRET}`);
    await session(name).restart();
    await query(name, `two, ${SECRET}`);
    await session(name).clear();
    await query(name, `three, ${SECRET}`);
    const lines = (await Array.fromAsync(supervisor.exportSession(name))).join("");
    for (const text of ["one", "two", "three"]) expect(lines).toContain(`${text}, ${SECRET}`);
    expect(await supervisor.eraseSession(name)).toMatchObject({ turns: 3, transcripts: 2, left: [] });
    const tables = [
      ...["sessions", "turns", "approvals", "spent", "conversations", "event_logs", "events", "contents"],
      ...["transcripts", "transcript_entries", "journal_transcripts", "journal_transcript_parts"],
    ];
    for (const table of tables) {
      const rows = await server.sql(`select * from ${place.schema}.${table}`);
      expect([table, JSON.stringify(rows)]).not.toEqual([table, expect.stringContaining(SECRET)]);
      expect([table, JSON.stringify(rows)]).not.toEqual([table, expect.stringContaining(name)]);
      if (table.startsWith("transcript")) expect(rows).toEqual([]);
    }
    expect(holding(SECRET)).toEqual([]);
    expect((await query(name, "anew").catch((error: unknown) => error)) as object).toMatchObject({
      code: "SESSION_NOT_FOUND",
    });
  });

  it("erases a global session from every machine that has had it", async () => {
    await using cluster = await RealCluster.start(
      { server, claude: "real", env: { ANTHROPIC_BASE_URL: api.url }, cluster: { patience: "30s" } },
      "one",
      "two",
    );
    const [name, other] = [cluster.nameOf("chat", "carol"), cluster.nameOf("chat", "dave")];
    const { client } = cluster;
    await client.query(other, "daves-word");
    await client.query(name, `one, ${SECRET}`);
    const first = (await client.listSessions({ prefix: name }))[0]?.node ?? "";
    const second = first === "one" ? "two" : "one";
    await client.session(name).clear();
    await client.query(name, `two, ${SECRET}`);
    await client.move(name, second);
    await client.query(name, `three, ${SECRET}`);
    const held = (): string[] => cluster.nodes.flatMap(({ directory }) => run("grep", ["-rlaF", SECRET, directory]));
    expect(
      held().some((path) => path.includes(`/${first}/`)),
      held().join(" "),
    ).toBe(true);
    const lines = (await Array.fromAsync(client.exportSession(name))).join("");
    for (const text of ["one", "two", "three"]) expect(lines).toContain(`${text}, ${SECRET}`);
    const report = await client.eraseSession(name);
    expect(report).toMatchObject({ turns: 3, transcripts: 2, conversations: [expect.any(String), expect.any(String)] });
    expect(report.left).toEqual([]);
    expect(held()).toEqual([]);
    for (const table of [
      "sessions",
      "turns",
      "spent",
      "conversations",
      "event_logs",
      "events",
      "contents",
      "globals",
      "journal_transcripts",
      "journal_transcript_parts",
      "jobs",
    ]) {
      const rows = JSON.stringify(await server.sql(`select * from ${cluster.schema}.${table}`));
      expect([table, rows]).not.toEqual([table, expect.stringMatching(/carol/)]);
    }
    expect(await client.session(other).transcript()).toHaveLength(2);
    await client.query(name, "who am I?");
    expect(JSON.stringify(api.lastRequest?.body)).not.toContain(SECRET);

    const at = (await client.listSessions({ prefix: other }))[0]?.node;
    await client.move(other, at === "one" ? "two" : "one");
    await client.query(other, "daves-word again");
    await client.session(other).stop({ conversation: "clear" });
    const theirs = cluster.nodes.flatMap(({ directory }) => run("grep", ["-rlaF", "daves-word", directory]));
    expect(theirs).toEqual([]);
  });
});

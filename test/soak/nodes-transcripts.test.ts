import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { SessionStoreEntry } from "@anthropic-ai/claude-agent-sdk";
import { afterAll, beforeAll, expect, it, onTestFinished } from "vitest";
import { type TranscriptLocation, transcriptFolderOf } from "../../src/claude/transcript-location.ts";
import { systemClock } from "../../src/clock.ts";
import { type ClusterJournal, clusterJournal } from "../../src/cluster/cluster-journal.ts";
import { connect } from "../../src/connect.ts";
import { global, Supervisor, template } from "../../src/index.ts";
import { JournalWriter } from "../../src/journal/journal-writer.ts";
import { type PostgresSessionStore, postgresSessionStore } from "../../src/journal/postgres/postgres-session-store.ts";
import { SessionTranscripts } from "../../src/session/persistence/session-transcripts.ts";
import { fakeClaude } from "../../src/testing/index.ts";
import { type OwningNode, own, owningNode, type Place } from "../cluster/postgres-scene.ts";
import { PostgresServer } from "../journal/postgres-server.ts";

let server: PostgresServer;

beforeAll(async () => {
  server = await PostgresServer.start();
});

afterAll(async () => {
  await server?.remove();
});

const A = '["global","a"]';
const ID = "11111111-1111-4111-8111-111111111111";
const KEY = { conversationId: ID };
const AGENT = "subagents/agent-1";
/** Where earlier releases kept the transcripts of all global sessions. */
const FORMER = { projectKey: "global", sessionId: ID };

interface Node {
  readonly journal: ClusterJournal;
  readonly writer: JournalWriter;
  readonly transcripts: SessionTranscripts;
}

/** Returns the transcripts of session A on a node that owns it. */
async function onNode({ boot, owned }: OwningNode, where: Place): Promise<Node> {
  const journal = clusterJournal(where, { boot }, owned, () => true, systemClock);
  await journal.open({ id: boot, pid: 1, host: "h", startedAt: 0 });
  const writer = new JournalWriter(journal, { clock: systemClock, random: () => 0.5 });
  onTestFinished(() => journal.close());
  const transcripts = new SessionTranscripts(A, { transcripts: journal.transcripts, isShared: true }, { writer });
  return { journal, writer, transcripts };
}

/** Returns a place for files on a machine of its own. */
async function machine(): Promise<TranscriptLocation> {
  const root = await mkdtemp(join(tmpdir(), "castellan-machine-"));
  onTestFinished(() => rm(root, { recursive: true }));
  return { config: join(root, ".claude"), cwd: root };
}

async function fileAt(location: TranscriptLocation): Promise<string[]> {
  const text = await readFile(join(await transcriptFolderOf(location), `${ID}.jsonl`), "utf8").catch(() => "");
  return text.split("\n").filter((line) => line !== "");
}

function said(n: number, more: object = {}): SessionStoreEntry {
  return { type: n % 2 === 1 ? "user" : "assistant", uuid: `u${n}`, parentUuid: n === 1 ? null : `u${n - 1}`, ...more };
}

/** Lets another node claim the session without the former owner's knowledge. */
async function takenBy(next: OwningNode, where: Place, former: string): Promise<void> {
  const renewed = "renewed_at = renewed_at - interval '61 seconds'";
  await server.sql(`update ${where.schema}.nodes set ${renewed} where boot = $1`, [former]);
  await own(next, A);
}

function formerStore(where: Place): PostgresSessionStore {
  const store = postgresSessionStore(where);
  onTestFinished(() => store.close());
  return store;
}

it("the transcript of a global session: is restored on another machine, 20 MB with images", async () => {
  const where = server.fresh();
  const [one, other] = [await owningNode(where, "one", A), await owningNode(where, "other")];
  const first = await onNode(one, where);
  const data = Buffer.alloc(4_500_000, "castellan").toString("base64");
  const source = { type: "base64", media_type: "image/png", data };
  const image = said(1, { message: { role: "user", content: [{ type: "image", source }] } });
  first.transcripts.append(KEY, [image]);
  const rest = Array.from({ length: 700 }, (_, n) => said(n + 2, { text: "line of text\n".repeat(1_600) }));
  first.transcripts.append(KEY, rest);
  first.transcripts.append({ ...KEY, subpath: AGENT }, [said(1)]);
  await first.writer.settled();
  await one.engine.leave("one");
  await own(other, A);
  const second = await onNode(other, where);
  const there = await machine();
  await second.transcripts.settle(ID, { to: there, adopts: true });
  const lines = await fileAt(there);
  expect(lines).toEqual([image, ...rest].map((entry) => JSON.stringify(entry)));
  const folder = join(await transcriptFolderOf(there), ID);
  expect(await readFile(join(folder, `${AGENT}.jsonl`), "utf8")).toBe(`${JSON.stringify(said(1))}\n`);
});

it("the transcript of a global session: accepts nothing from a node that lost the session", async () => {
  const where = server.fresh();
  const [one, other] = [await owningNode(where, "one", A), await owningNode(where, "other")];
  const first = await onNode(one, where);
  const here = await machine();
  first.transcripts.append(KEY, [said(1)]);
  await first.writer.settled();
  await first.transcripts.settle(ID, { to: here, adopts: true });
  await takenBy(other, where, "one");
  const second = await onNode(other, where);
  second.transcripts.append(KEY, [said(2)]);
  await second.writer.settled();
  first.transcripts.append(KEY, [said(2, { by: "one" })]);
  await expect(first.writer.settled()).rejects.toMatchObject({ code: "NOT_OWNER" });
  const lines = (await Array.fromAsync(second.journal.transcripts?.lines(KEY) ?? [])).join("");
  expect(lines).toBe(`${JSON.stringify(said(1))}\n${JSON.stringify(said(2))}\n`);
});

it("a conversation of an earlier release: is taken in with those of its subagents, and removed there", async () => {
  const where = server.fresh();
  const one = await owningNode(where, "one", A);
  const former = formerStore(where);
  const entries = Array.from({ length: 120 }, (_, n) => said(n + 1, { text: "␐ and \0" }));
  await former.append(FORMER, [...entries, { type: "last-prompt", leafUuid: "u120" }]);
  await former.append({ ...FORMER, subpath: AGENT }, [said(1)]);
  const { journal, transcripts } = await onNode(one, where);
  const other = { ...FORMER, sessionId: "another" };
  await former.append(other, [said(1)]);
  expect(await transcripts.takeIn(ID, "-any-project")).toBe(true);
  const there = await machine();
  await transcripts.settle(ID, { to: there, adopts: true });
  const lines = (await fileAt(there)).map((line) => JSON.parse(line) as unknown);
  expect(lines).toEqual([...entries, { type: "last-prompt", leafUuid: "u120" }]);
  expect((await journal.transcripts?.of(ID))?.map(({ session, subpath }) => [session, subpath])).toEqual([
    [A, undefined],
    [A, AGENT],
  ]);
  const rows = await server.sql(`select session_id from ${where.schema}.transcripts`);
  expect(rows).toEqual([{ session_id: "another" }]);
  expect(await server.sql(`select transcript from ${where.schema}.transcript_entries`)).toHaveLength(1);
});

it("a conversation of an earlier release: is taken in whole after an application died in between", async () => {
  const where = server.fresh();
  const one = await owningNode(where, "one", A);
  const former = formerStore(where);
  await former.append(
    FORMER,
    Array.from({ length: 6 }, (_, n) => said(n + 1)),
  );
  const { transcripts, writer, journal } = await onNode(one, where);
  // What the dead application had taken in.
  transcripts.append(KEY, [said(1), said(2), said(3)]);
  await writer.settled();
  await transcripts.takeIn(ID, "p");
  const uuids = async (): Promise<string[]> => {
    const lines = (await Array.fromAsync(journal.transcripts?.lines(KEY) ?? [])).join("").trim().split("\n");
    return lines.map((line) => String((JSON.parse(line) as SessionStoreEntry).uuid));
  };
  expect(await uuids()).toEqual(["u1", "u2", "u3", "u4", "u5", "u6"]);
  // It died before it removed the rows, and the session went on.
  await former.append(
    FORMER,
    Array.from({ length: 6 }, (_, n) => said(n + 1)),
  );
  transcripts.append(KEY, [said(7)]);
  await writer.settled();
  await transcripts.takeIn(ID, "p");
  expect(await uuids()).toEqual(["u1", "u2", "u3", "u4", "u5", "u6", "u7"]);
  expect(await former.load(FORMER)).toBeNull();
});

it("a conversation of an earlier release: is not taken in, and not removed, by a node that lost the session", async () => {
  const where = server.fresh();
  const [one, other] = [await owningNode(where, "one", A), await owningNode(where, "other")];
  const former = formerStore(where);
  await former.append(FORMER, [said(1)]);
  const { transcripts } = await onNode(one, where);
  await takenBy(other, where, "one");
  await expect(transcripts.takeIn(ID, "p")).rejects.toMatchObject({ code: "NOT_OWNER" });
  expect(await former.load(FORMER)).toEqual([said(1)]);
});

it("a conversation of an earlier release: is exported and erased also if its session was not used since", async () => {
  const where = server.fresh();
  const secret = "a secret of at least thirty-two characters";
  const fake = fakeClaude((turn) => turn.text("yes"));
  const start = (name: string): Promise<Supervisor> =>
    Supervisor.start([template(global("chat"))], {
      cluster: { ...where, secret, advertise: "http://127.0.0.1:0", name },
      defaults: { spawnClaudeCodeProcess: fake.spawn },
      logger: { info: () => {}, warn: () => {} },
    });
  const client = connect({ ...where, secret, patience: "20s" });
  onTestFinished(() => client.close());
  const name = global(["chat", "a"]);
  const before = await start("one");
  await client.query(name, "hello");
  const id = (await client.session(name).status()).conversationId ?? "";
  await before.stop();
  await server.sql(`update ${where.schema}.sessions set memory = (memory::jsonb || '{"projectKey":"-work"}')::json`);
  const former = formerStore(where);
  const key = { projectKey: "global", sessionId: id };
  await former.append(key, [said(1), said(2)]);
  await using _ = await start("two");
  const exported = await Array.fromAsync(client.exportSession(name));
  const lines = exported.map((line) => JSON.parse(line) as { type: string; entry?: unknown });
  expect(lines.flatMap(({ type, entry }) => (type === "transcript" ? [entry] : []))).toEqual([said(1), said(2)]);
  expect(await client.eraseSession(name)).toMatchObject({ conversations: [id], transcripts: 1 });
  expect(await former.load(key)).toBeNull();
});

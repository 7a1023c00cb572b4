import {
  appendFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { beforeEach, expect, it, onTestFinished } from "vitest";
import { type TranscriptLocation, transcriptFolderOf } from "../../src/claude/transcript-location.ts";
import { systemClock } from "../../src/clock.ts";
import { CastellanError } from "../../src/index.ts";
import { JournalWriter } from "../../src/journal/journal-writer.ts";
import { memoryJournal } from "../../src/journal/memory/memory-journal.ts";
import type { Batch } from "../../src/journal/model/change.ts";
import type { Journal } from "../../src/journal/model/journal.ts";
import { SessionTranscripts } from "../../src/session/persistence/session-transcripts.ts";

const ID = "11111111-2222-4333-8444-555555555555";
const KEY = { conversationId: ID };
const AGENT = "subagents/agent-1";

interface Scene {
  readonly journal: Journal;
  readonly writer: JournalWriter;
  readonly transcripts: SessionTranscripts;
  readonly batches: Batch[];
  /** Why the journal accepts no writes. */
  fault: CastellanError | undefined;
}

let root: string;

beforeEach(() => {
  root = realpathSync(mkdtempSync(join(tmpdir(), "transcripts-")));
  onTestFinished(() => rmSync(root, { recursive: true }));
});

async function scene(session = '"a"', isShared = false): Promise<Scene> {
  const journal = memoryJournal();
  await journal.open({ id: "o", pid: 1, host: "h", startedAt: 1 });
  const batches: Batch[] = [];
  const write = journal.write.bind(journal);
  const it: { fault: CastellanError | undefined } = { fault: undefined };
  journal.write = async (batch) => {
    if (it.fault !== undefined) throw it.fault;
    batches.push(batch);
    await write(batch);
  };
  const writer = new JournalWriter(journal, { clock: systemClock, random: () => 0.5 });
  const transcripts = new SessionTranscripts(session, { transcripts: journal.transcripts, isShared }, { writer });
  return Object.assign(it, { journal, writer, transcripts, batches });
}

/** Returns a place for transcripts: another home and working directory for each name. */
function place(name: string): TranscriptLocation {
  mkdirSync(join(root, name, "work"), { recursive: true });
  return { config: join(root, name, ".claude"), cwd: join(root, name, "work") };
}

async function fileAt(location: TranscriptLocation): Promise<string> {
  return join(await transcriptFolderOf(location), `${ID}.jsonl`);
}

async function put(location: TranscriptLocation, ...lines: string[]): Promise<string> {
  const file = await fileAt(location);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, lines.join(""));
  return file;
}

function entry(n: number): { type: string; uuid: string; parentUuid: string | null } {
  return { type: n % 2 === 1 ? "user" : "assistant", uuid: `u${n}`, parentUuid: n === 1 ? null : `u${n - 1}` };
}

function line(n: number): string {
  return `${JSON.stringify(entry(n))}\n`;
}

async function journaled({ journal }: Scene, subpath?: string): Promise<string> {
  const lines = journal.transcripts?.lines({ ...KEY, ...(subpath !== undefined && { subpath }) }) ?? [];
  return (await Array.fromAsync(lines)).join("");
}

it("SessionTranscripts.append(): waits for the session's next events, and shares their batch", async () => {
  const one = await scene();
  const event = { session: '"a"', number: 1, at: 1, type: "hibernated", body: {} };
  one.transcripts.append(KEY, [entry(1)]);
  one.transcripts.append(KEY, [entry(2), { type: "mode" }]);
  expect(one.batches).toEqual([]);
  await one.writer.record([{ type: "turn_touched", turn: "t" }], { session: '"a"' });
  await one.writer.record([{ type: "event_appended", event }], { session: '"b"' });
  await one.writer.record([{ type: "event_appended", event }], { session: '"a"' });
  expect(one.batches.map(({ changes }) => changes.map(({ type }) => type))).toEqual([
    ["turn_touched"],
    ["event_appended"],
    ["transcript_appended", "transcript_appended", "event_appended"],
  ]);
  expect(await journaled(one)).toBe(`${line(1)}${line(2)}{"type":"mode"}\n`);
  one.transcripts.append(KEY, [entry(3)]);
  await expect.poll(() => one.batches.length, { timeout: 5_000 }).toBe(4);
});

it("SessionTranscripts.settle(): takes in a conversation of before, with those of its subagents", async () => {
  const [one, home] = [await scene(), place("home")];
  const file = await put(home, line(1), '{"type":"api-request-blob"}\n', line(2), '{"cut off');
  mkdirSync(join(file.slice(0, -6), "subagents"), { recursive: true });
  writeFileSync(join(file.slice(0, -6), `${AGENT}.jsonl`), line(1));
  writeFileSync(join(file.slice(0, -6), `${AGENT}.meta.json`), '{"agentType":"explorer"}');
  await one.transcripts.settle(ID, { to: home, adopts: false });
  expect(await journaled(one)).toBe("");
  await one.transcripts.settle(ID, { to: home, adopts: true });
  expect(await journaled(one)).toBe(line(1) + line(2));
  const description = '{"type":"agent_metadata","agentType":"explorer"}\n';
  expect(await journaled(one, AGENT)).toBe(description + line(1));

  const other = place("other");
  await one.transcripts.settle(ID, { to: other, adopts: true });
  const copy = await fileAt(other);
  expect(readFileSync(copy, "utf8")).toBe(line(1) + line(2));
  expect(statSync(copy).mode & 0o077).toBe(0);
  expect(readFileSync(join(copy.slice(0, -6), `${AGENT}.jsonl`), "utf8")).toBe(line(1));
  expect(readFileSync(join(copy.slice(0, -6), `${AGENT}.meta.json`), "utf8")).toBe('{"agentType":"explorer"}');
});

it("SessionTranscripts.settle(): writes nothing when both sides are equal", async () => {
  const [one, home] = [await scene(), place("home")];
  await put(home, line(1), line(2), '{"type":"last-prompt"}\n');
  await one.transcripts.settle(ID, { to: home, adopts: true });
  const [{ length }, { mtimeMs }] = [one.batches, statSync(await fileAt(home))];
  await one.transcripts.settle(ID, { to: home, adopts: true });
  expect(one.batches.length).toBe(length);
  expect(statSync(await fileAt(home)).mtimeMs).toBe(mtimeMs);
});

it("SessionTranscripts.settle(): adds to the journal what only a file has, here or where the last process was", async () => {
  const [one, home, other] = [await scene(), place("home"), place("other")];
  one.transcripts.append(KEY, [entry(1), entry(2)]);
  await put(home, line(1), line(2), line(3));
  await one.transcripts.settle(ID, { to: home, adopts: true });
  expect(await journaled(one)).toBe(line(1) + line(2) + line(3));
  appendFileSync(await fileAt(home), line(4));
  await one.transcripts.settle(ID, { from: home, to: other, adopts: true });
  expect(await journaled(one)).toBe([1, 2, 3, 4].map(line).join(""));
  expect(readFileSync(await fileAt(other), "utf8")).toBe([1, 2, 3, 4].map(line).join(""));
});

it("SessionTranscripts.settle(): replaces a file that is older, or has something else", async () => {
  const [one, home] = [await scene(), place("home")];
  one.transcripts.append(KEY, [1, 2, 3, 4].map(entry));
  for (const lines of [[line(1), line(2)], [line(1), line(9)], []]) {
    await put(home, ...lines);
    await one.transcripts.settle(ID, { to: home, adopts: true });
    expect(readFileSync(await fileAt(home), "utf8")).toBe([1, 2, 3, 4].map(line).join(""));
  }
  expect(await journaled(one)).toBe([1, 2, 3, 4].map(line).join(""));
});

it("SessionTranscripts.settle(): leaves out a compaction that was half-written", async () => {
  const [one, home] = [await scene(), place("home")];
  const boundary = { type: "system", subtype: "compact_boundary", uuid: "b", parentUuid: null };
  one.transcripts.append(KEY, [entry(1), entry(2), boundary]);
  one.transcripts.append(KEY, [entry(3)]);
  await one.transcripts.settle(ID, { to: home, adopts: true });
  expect(readFileSync(await fileAt(home), "utf8")).toBe([1, 2, 3].map(line).join(""));
});

it("SessionTranscripts.settle(): does not wait for a journal that accepts nothing, if there is a file", async () => {
  const [one, home] = [await scene(), place("home")];
  const file = await put(home, line(1));
  await one.transcripts.settle(ID, { to: home, adopts: true });
  one.fault = new CastellanError("JOURNAL_UNAVAILABLE", "no", { details: { reason: "unreachable", applied: false } });
  one.writer.note([{ type: "turn_touched", turn: "t" }]);
  await expect.poll(() => one.writer.fault).toBeDefined();
  await one.transcripts.settle(ID, { to: home, adopts: true });
  // The process writes its file; the journal must not receive the rest without this.
  appendFileSync(file, line(2) + line(3));
  one.transcripts.append(KEY, [entry(2)]);
  one.transcripts.append(KEY, [entry(3)]);
  one.fault = undefined;
  await expect.poll(() => one.writer.fault, { timeout: 5_000 }).toBeUndefined();
  expect(await journaled(one)).toBe(line(1));
  await one.transcripts.settle(ID, { to: home, adopts: true });
  expect(await journaled(one)).toBe([1, 2, 3].map(line).join(""));
  one.transcripts.append(KEY, [entry(4)]);
  await one.writer.settled();
  expect(await journaled(one)).toBe([1, 2, 3, 4].map(line).join(""));
});

it("SessionTranscripts: keeps nothing in a journal without transcripts", async () => {
  const [one, home] = [await scene(), place("home")];
  const without = new SessionTranscripts('"a"', { transcripts: undefined, isShared: false }, one);
  without.append(KEY, [entry(1)]);
  await put(home, line(1));
  await without.settle(ID, { to: home, adopts: true });
  await one.writer.settled();
  expect(one.batches).toEqual([]);
  expect(existsSync(await fileAt(place("other")))).toBe(false);
});

it("SessionTranscripts.settle(): with a shared journal, removes what only a file of before has", async () => {
  const [one, here] = [await scene('"a"', true), place("here")];
  const file = await put(here, line(1), line(2), line(3));
  one.transcripts.append({ conversationId: "another" }, [entry(1)]);
  const part = { session: '"a"', ...KEY, lines: line(1), lastUuid: "u1" };
  await one.writer.write([{ type: "transcript_appended", part }], {});
  await one.transcripts.settle(ID, { to: here, adopts: true });
  expect(readFileSync(file, "utf8")).toBe(line(1));
  expect(await journaled(one)).toBe(line(1));
});

it("SessionTranscripts.settle(): with a shared journal, takes in what the session's own processes wrote", async () => {
  const [one, here] = [await scene('"a"', true), place("here")];
  one.transcripts.append(KEY, [entry(1)]);
  await put(here, line(1), line(2));
  await one.transcripts.settle(ID, { to: here, adopts: true });
  expect(await journaled(one)).toBe(line(1) + line(2));
});

it("SessionTranscripts.settle(): with a shared journal that accepts nothing, does not use a file of before", async () => {
  const [one, here] = [await scene('"a"', true), place("here")];
  await put(here, line(1));
  one.fault = new CastellanError("JOURNAL_UNAVAILABLE", "full", { details: { reason: "failed" } });
  void one.writer.record([{ type: "turn_touched", turn: "t" }]).catch(() => {});
  await expect.poll(() => one.writer.fault).toBeDefined();
  let settled = false;
  void one.transcripts.settle(ID, { to: here, adopts: true }).then(() => {
    settled = true;
  });
  await new Promise((resolve) => setImmediate(resolve));
  expect(settled).toBe(false);
  one.fault = undefined;
  await expect.poll(() => settled, { timeout: 5_000 }).toBe(true);
});

it("SessionTranscripts.settle(): connects the entries of a transcript that lost some in its middle", async () => {
  const [one, here] = [await scene(), place("here")];
  const part = { session: '"a"', ...KEY, lines: line(1) + line(4), lastUuid: "u4" };
  await one.writer.write([{ type: "transcript_appended", part }], {});
  await one.transcripts.settle(ID, { to: here, adopts: true });
  const linked = { ...entry(4), parentUuid: "u1" };
  expect(readFileSync(await fileAt(here), "utf8")).toBe(`${line(1)}${JSON.stringify(linked)}\n`);
});

it("SessionTranscripts.optionsFor(): lets a process elsewhere resume from a shared journal", async () => {
  const one = await scene('"a"', true);
  const spawnClaudeCodeProcess = (): never => {
    throw new Error("not started");
  };
  const sdk = { spawnClaudeCodeProcess, enableFileCheckpointing: true, env: { A: "1" } };
  const { sessionStore: store, ...rest } = one.transcripts.optionsFor(sdk);
  const env = { A: "1", CLAUDE_CODE_ENABLE_SDK_FILE_CHECKPOINTING: "true" };
  expect(rest).toEqual({ spawnClaudeCodeProcess, env, sessionStoreFlush: "eager" });
  const key = { projectKey: "p", sessionId: ID };
  await store?.append(key, [entry(1), entry(2)]);
  await store?.append({ ...key, subpath: AGENT }, [entry(1)]);
  // The process that resumes sees what was appended just before.
  expect(await store?.load({ ...key, projectKey: "another" })).toEqual([entry(1), entry(2)]);
  expect(await store?.load({ ...key, subpath: AGENT })).toEqual([entry(1)]);
  expect(await store?.listSubkeys?.(key)).toEqual([AGENT]);
  expect(await store?.load({ ...key, sessionId: "none" })).toBeNull();
  expect(one.transcripts.optionsFor({})).toEqual({});
  expect((await scene()).transcripts.optionsFor(sdk)).toBe(sdk);
});

it("SessionTranscripts.has: knows what still waits for the journal", async () => {
  const { transcripts } = await scene();
  expect(await transcripts.has(ID)).toBe(false);
  transcripts.append(KEY, [{ type: "user", uuid: "1" }]);
  expect(await transcripts.has(ID)).toBe(true);
});

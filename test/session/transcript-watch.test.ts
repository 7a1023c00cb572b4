import { appendFileSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEach, expect, it, onTestFinished } from "vitest";
import { transcriptFolderOf, transcriptLocationOf } from "../../src/claude/transcript-location.ts";
import { type Clock, systemClock } from "../../src/clock.ts";
import { TranscriptWatch } from "../../src/session/process/transcript-watch.ts";

let folder: string;
let environment: Record<string, string>;
let cwd: string;

beforeEach(async () => {
  cwd = mkdtempSync(join(tmpdir(), "watch-"));
  environment = { CLAUDE_CONFIG_DIR: join(cwd, ".claude") };
  folder = await transcriptFolderOf(await transcriptLocationOf(cwd, environment));
  mkdirSync(folder, { recursive: true });
  onTestFinished(() => rmSync(cwd, { recursive: true }));
});

function write(conversation: string, uuid: string): void {
  appendFileSync(join(folder, `${conversation}.jsonl`), `${JSON.stringify({ uuid })}\n`);
}

interface Scene {
  readonly watch: TranscriptWatch;
  /** The conversations in which a message was reported missing. */
  readonly losses: string[];
  /** The process's conversation. */
  at: string;
  /** Called at the nth search in a file, from 1. */
  searching: (n: number) => void;
}

/** Returns a watch of a process in the conversation `old`. Pauses between searches take no time. */
function scene(): Scene {
  const clock: Clock = {
    ...systemClock,
    schedule: (_, callback, options) => systemClock.schedule(0, callback, options),
  };
  let searches = 0;
  const one = { at: "old", searching: (_: number): void => {}, losses: [] as string[] };
  const watch = new TranscriptWatch(clock, {
    source: () => {
      one.searching(++searches);
      return { sdk: { cwd }, environment };
    },
    conversationId: () => one.at,
    lost: () => one.losses.push(one.at),
  });
  return Object.assign(one, { watch });
}

it("TranscriptWatch: reports a message that its transcript lacks, once in a row", async () => {
  const one = scene();
  await one.watch.ended("a");
  await one.watch.ended("b");
  expect(one.losses).toEqual(["old"]);
  write("old", "c");
  await one.watch.ended("c");
  await one.watch.ended("d");
  expect(one.losses).toEqual(["old", "old"]);
});

it("TranscriptWatch: waits for a message that Claude Code writes late", async () => {
  const one = scene();
  one.searching = (n) => n === 4 && write("old", "a");
  await one.watch.ended("a");
  expect(one.losses).toEqual([]);
});

it.each([1, 2, 3, 4])("TranscriptWatch: reports nothing of a conversation left during search %i", async (n) => {
  const one = scene();
  write("old", "earlier");
  one.searching = (now) => {
    if (now === n) one.at = "new";
    if (now === n + 1) write("old", "a");
  };
  await one.watch.ended("a");
  write("new", "b");
  await one.watch.ended("b");
  expect(one.losses).toEqual([]);
});

it("TranscriptWatch: reports a message missing in a new conversation, although one of the old is searched for", async () => {
  const one = scene();
  write("old", "a");
  const before = one.watch.ended("a");
  one.at = "new";
  await Promise.all([before, one.watch.ended("b")]);
  expect(one.losses).toEqual(["new"]);
});

it("TranscriptWatch: reports nothing of a process that is gone", async () => {
  const one = scene();
  one.searching = () => one.watch.stop();
  await one.watch.ended("a");
  expect(one.losses).toEqual([]);
});

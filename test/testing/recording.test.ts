import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { query, stream } from "../../src/castellan.ts";
import { fakeClaude, loadRecording, recordTurns, replay } from "../../src/testing/index.ts";
import { failure, Scene } from "../session-on-fake/scene.ts";

async function file(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "castellan-recording-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  return join(folder, "recording.json");
}

test("replay: repeats recorded tools, partial texts and errors, by prompt", async () => {
  const path = await file();
  const heard: unknown[] = [];
  {
    using recorder = recordTurns();
    await using scene = await Scene.open({
      script: async (turn) => {
        if (turn.prompt === "fail") return await turn.fail({ status: 400, message: "broken" });
        await turn.toolUse("Read", { file_path: "a" }, { result: `text ${turn.index}` });
        await turn.text(`answer ${turn.index} to ${turn.prompt}`, { partials: 3 });
        return undefined;
      },
    });
    for (const prompt of ["same", "same", "other"]) heard.push(await seenBy(scene.name, prompt));
    await failure(query(scene.name, "fail"), "TURN_FAILED");
    await recorder.save(path);
  }
  const recording = await loadRecording(path);
  expect(recording.turns.map(({ prompt }) => prompt)).toEqual(["same", "same", "other", "fail"]);
  const fake = fakeClaude(replay(recording));
  await using scene = await Scene.open({ session: { spawnClaudeCodeProcess: fake.spawn } });
  // In another order than they were recorded.
  const [first, second, other] = heard;
  expect(await seenBy(scene.name, "other")).toEqual(other);
  expect(await seenBy(scene.name, "same")).toEqual(first);
  expect(await seenBy(scene.name, "same")).toEqual(second);
  await failure(query(scene.name, "fail"), "TURN_FAILED");
  expect((await failure(query(scene.name, "same"), "TURN_FAILED")).message).toContain("no (further) answer");
});

test("recordTurns and loadRecording: record selected sessions only, and reject a file of another kind", async () => {
  await using scene = await Scene.open();
  using recorder = recordTurns({ sessions: (name) => name !== scene.name });
  await query(scene.name, "hi");
  expect(recorder.recording).toEqual({ version: 1, turns: [] });
  const path = await file();
  await writeFile(path, "{}");
  await expect(loadRecording(path)).rejects.toThrow("is not a recording");
});

/** Returns what a reader of a turn sees. */
async function seenBy(name: string, prompt: string): Promise<unknown> {
  const turn = stream(name, prompt);
  const pieces: string[] = [];
  const tools: unknown[] = [];
  await Promise.all([
    (async () => {
      for await (const piece of turn.text()) pieces.push(piece);
    })(),
    (async () => {
      for await (const { name: tool, input } of turn.toolUses()) tools.push({ tool, input });
    })(),
  ]);
  const { text, usage } = await turn.result();
  return { pieces, tools, text, usage };
}

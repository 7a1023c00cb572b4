import { join } from "node:path";
import { expect, test } from "vitest";
import { Supervisor, type SupervisorOptions, stream } from "../../src/index.ts";
import { fakeClaude, loadRecording, mockApi, recordTurns, replay } from "../../src/testing/index.ts";

const PROMPTS = ["Look at the date.", "Thank you."];

test("replay: repeats texts, tool uses and usage of the real Claude Code", async () => {
  await using api = await mockApi();
  api.reply("date", {
    text: "Let me look.",
    toolUses: [{ name: "Bash", input: { command: "echo a$((1+1))b" } }],
    usage: { inputTokens: 1_000, outputTokens: 100 },
  });
  const file = join(api.cwd, "recording.json");
  const real = await heard({ defaults: { env: api.env, cwd: api.cwd, allowedTools: ["Bash"] } }, file);
  expect(real).toMatchObject([
    { text: "The tool said: a2b", tools: [{ name: "Bash", input: { command: "echo a$((1+1))b" } }] },
    { text: "You said: Thank you.", tools: [] },
  ]);
  expect(real[0]?.pieces.join("")).toContain("Let me look.");
  expect(real[0]?.usage.inputTokens).toBeGreaterThan(1_000);

  const fake = fakeClaude(replay(await loadRecording(file)));
  expect(await heard({ defaults: { spawnClaudeCodeProcess: fake.spawn } })).toEqual(real);
  expect(fake.errors).toEqual([]);
});

interface Heard {
  readonly pieces: readonly string[];
  readonly tools: readonly unknown[];
  readonly text: string;
  readonly usage: { readonly inputTokens: number };
}

/** Returns what a reader of a new session gets, prompt by prompt. Records it to a file if one is given. */
async function heard(options: SupervisorOptions, file?: string): Promise<Heard[]> {
  await using _ = await Supervisor.start([{ name: "recorded" }], options);
  using recorder = recordTurns();
  const turns: Heard[] = [];
  for (const prompt of PROMPTS) {
    const turn = stream("recorded", prompt);
    const [pieces, tools, { text, usage }] = await Promise.all([
      Array.fromAsync(turn.text()),
      Array.fromAsync(turn.toolUses(), ({ name, input }) => ({ name, input })),
      turn.result(),
    ]);
    turns.push({ pieces, tools, text, usage });
  }
  if (file !== undefined) await recorder.save(file);
  return turns;
}

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { query, Supervisor, session } from "castellan";
import { expect, onTestFinished, test } from "vitest";
import { oneLine, report, said, untilQuarantined, watched } from "../../examples/debug.ts";
import { onFake } from "./on-fake.ts";

test("debug.ts: shows a session's state at one moment and over time", async () => {
  const { fake, options } = onFake(async (turn) => {
    if (turn.prompt === "die") await turn.crash({ stderr: "out of luck" });
    await turn.toolUse("Bash", { command: "echo a secret" });
    await turn.text("an answer");
  });
  const home = await mkdtemp(join(tmpdir(), "castellan-guide-"));
  onTestFinished(() => rm(home, { recursive: true }));
  await using supervisor = await Supervisor.start([{ name: "assistant", env: { CLAUDE_CONFIG_DIR: home } }], {
    ...options,
    maxRestarts: 0,
  });
  expect(oneLine("assistant")).toBe(`idle (pid ${fake.processes[0]?.pid}), 0 turns wait, 0 restarts`);
  expect(report(supervisor)).toContain("stallTimeout = 10m  (built in)");
  const lines: [object, string][] = [];
  const write = (fields: object, message: string): void => void lines.push([fields, message]);
  await watched("assistant", () => query("assistant", "a question"), { info: write, warn: write });
  const messages = lines.map(([, message]) => message);
  expect(messages).toContain('"assistant" turn:accept');
  expect(messages).toContain('"assistant" turn:end');
  expect(JSON.stringify(lines)).not.toMatch(/a secret|a question|an answer/);
  expect(await said("assistant")).toEqual([]);
  const states = untilQuarantined(session("assistant"));
  await expect(query("assistant", "die")).rejects.toMatchObject({ code: "SESSION_QUARANTINED" });
  expect((await states).at(-1)).toBe("quarantined");
  expect(oneLine("assistant")).toMatch(/^quarantined \(pid none\).*last exit crash: .*out of luck/);
});

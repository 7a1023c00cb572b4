import { expect, onTestFinished, test, vi } from "vitest";
import { query } from "../../src/castellan.ts";
import { logEvents } from "../../src/index.ts";
import { failure, Scene } from "../session-on-fake/scene.ts";

function lines() {
  const written: { level: string; fields: object; message: string }[] = [];
  const write = (level: string) => (fields: object, message: string) => void written.push({ level, fields, message });
  return { written, logger: { info: write("info"), warn: write("warn") } };
}

test.each([false, true])(
  "logEvents with prompts %s: logs each turn and each restart, and prompts accordingly",
  async (prompts) => {
    const { written, logger } = lines();
    const stop = logEvents(logger, { prompts });
    await using scene = await Scene.open({
      script: async (turn) => (turn.prompt === "die" ? turn.crash({ signal: "SIGKILL" }) : turn.text("done")),
      session: { onInterruptedTurn: "fail", apiKey: "sk-secret" },
    });
    await query(scene.name, "hello");
    await failure(query(scene.name, "die"), "TURN_INTERRUPTED");
    stop();
    expect(written).toMatchObject([
      {
        level: "info",
        message: `turn of "${scene.name}" completed`,
        fields: {
          session: scene.name,
          result: "completed",
          promptLength: 5,
          attempts: 1,
          costUsd: 0.01,
          outputTokens: 1,
        },
      },
      { level: "warn", fields: { session: scene.name, class: "crash", restarts: 1 } },
      { level: "warn", fields: { result: "interrupted", code: "TURN_INTERRUPTED", promptLength: 3 } },
    ]);
    expect(JSON.stringify(written).includes("hello")).toBe(prompts);
    expect(JSON.stringify(written)).not.toContain("secret");
  },
);

test("logEvents: logs a refused and changed key, without the key", async () => {
  onTestFinished(() => void vi.unstubAllEnvs());
  vi.stubEnv("ANTHROPIC_API_KEY", "sk-secret-old");
  const { written, logger } = lines();
  const stop = logEvents(logger);
  await using scene = await Scene.open({
    script: async (turn) => {
      if (turn.process.env["ANTHROPIC_API_KEY"] === "sk-secret-old") await turn.fail({ status: 401 });
      else await turn.text("done");
    },
  });
  vi.stubEnv("ANTHROPIC_API_KEY", "sk-secret-new");
  await query(scene.name, "hello");
  stop();
  expect(written).toMatchObject([
    { level: "warn", message: `session "${scene.name}" had its key rejected, and uses the changed key` },
    { level: "info", fields: { result: "completed", attempts: 2 } },
  ]);
  expect(JSON.stringify(written)).not.toContain("secret");
});

import { stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { CastellanClient } from "../../src/client/index.ts";
import { mockApi } from "../../src/testing/index.ts";
import { castellan, RunningCommand } from "../cli/command-line.ts";

/* `castellan serve` and the commands, as processes, on the real Claude Code. */

test("castellan serve on the real Claude Code: outlives a kill of Claude, and finishes its turn at SIGTERM", async () => {
  await using api = await mockApi();
  api.reply("first", "The first answer.");
  api.reply("second", ({ messages }) => {
    const asked = messages.filter(({ role }) => role === "user").map(({ text }) => text);
    return `You have asked: ${asked.join(" | ")}`;
  });
  api.reply("slow", { text: "word ".repeat(60).trim(), tokensPerSecond: 30 });
  const { cwd } = api;
  const config = {
    journal: { sqlite: "castellan.db" },
    children: [{ name: "assistant" }],
    defaults: { cwd, env: api.env, tools: [], includePartialMessages: true },
  };
  await writeFile(join(cwd, "castellan.config.json"), JSON.stringify(config));
  const serving = new RunningCommand(["serve", "--json", "--drain-timeout", "30s"], { cwd });
  try {
    const { url } = JSON.parse(await serving.firstLine());
    const run = (...args: string[]) => castellan(args, { cwd });
    expect(await run("query", "assistant", "first")).toMatchObject({ code: 0, stdout: "The first answer.\n" });

    const client = new CastellanClient({ url });
    const { status } = await client.session("assistant").get();
    process.kill(status?.pid ?? 0, "SIGKILL");
    const second = await run("query", "assistant", "second");
    expect(second.code).toBe(0);
    expect(second.stdout).toMatch(/You have asked: .*first.*\|.*second/);
    expect((await client.session("assistant").get()).status).toMatchObject({ restarts: 1 });

    // The turn begins, and the server is told to end: the answer still comes.
    const slow = run("query", "assistant", "slow", "--json");
    for await (const event of client.session("assistant").events({ deltas: true }))
      if (event.type === "text_delta") break;
    serving.child.kill("SIGTERM");
    const { code, stdout } = await slow;
    expect(code).toBe(0);
    expect(JSON.parse(stdout).text.split(" ")).toHaveLength(60);
    expect(await serving.ended).toMatchObject({ signal: "SIGTERM" });
    await expect(stat(join(cwd, ".castellan/server.json"))).rejects.toThrow("ENOENT");
    expect((await run("ps")).code).toBe(3);
  } finally {
    serving.child.kill("SIGKILL");
    await serving.ended;
  }
}, 120_000);

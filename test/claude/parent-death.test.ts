import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { expect, it } from "vitest";
import { parentDeathPrefix } from "../../src/claude/parent-death.ts";

it("parentDeathPrefix(): looks for the program once", () => {
  expect(parentDeathPrefix()).toBe(parentDeathPrefix());
});

it("parentDeathPrefix(): sends a process SIGTERM when its parent is killed", async ({ skip }) => {
  const prefix = await parentDeathPrefix();
  if (prefix.length === 0) return skip("this platform has no parent-death signal");
  const child = `process.on("SIGTERM", () => { console.log("told"); process.exit(); }); console.log("up");
    setTimeout(() => {}, 30_000);`;
  const command = JSON.stringify([...prefix, process.execPath, "-e", child]);
  const parent = `const [command, ...parameters] = ${command};
    require("node:child_process").spawn(command, parameters, { stdio: "inherit" });`;
  const started = spawn(process.execPath, ["-e", parent], { stdio: ["ignore", "pipe", "inherit"] });
  const lines = createInterface({ input: started.stdout })[Symbol.asyncIterator]();
  expect((await lines.next()).value).toBe("up");
  started.kill("SIGKILL");
  await once(started, "exit");
  expect((await lines.next()).value).toBe("told");
});

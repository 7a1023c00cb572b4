import { once } from "node:events";
import { accessSync, constants } from "node:fs";
import { Worker } from "node:worker_threads";
import { expect, it } from "vitest";
import { sdkBinary } from "../../src/claude/process-run.ts";
import { Supervisor } from "../../src/index.ts";
import { fakeClaude } from "../../src/testing/index.ts";
import { unique } from "../session-on-fake/scene.ts";

const isLinux = process.platform === "linux";

it.skipIf(!isLinux)("sdkBinary(): finds the SDK's Claude Code", () => {
  const path = sdkBinary().pathToClaudeCodeExecutable ?? "";
  expect(path).toContain("claude-agent-sdk-linux-");
  accessSync(path, constants.X_OK);
});

it.skipIf(!isLinux)("Supervisor.start(): does not wait for busy threads of the pool", async () => {
  // Counts for a second or more without answering.
  const worker = new Worker(
    `const { parentPort } = require("node:worker_threads");
    const { DatabaseSync } = require("node:sqlite");
    const database = new DatabaseSync(":memory:");
    parentPort.postMessage("begins");
    database.prepare("WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 4000000) SELECT count(*) FROM c").get();
    parentPort.postMessage("done");`,
    { eval: true },
  );
  await once(worker, "message");
  let done = false;
  worker.once("message", () => {
    done = true;
  });
  const name = unique("quick");
  await using supervisor = await Supervisor.start([{ name, spawnClaudeCodeProcess: fakeClaude().spawn }]);
  expect(supervisor.listSessions()).toHaveLength(1);
  expect(done).toBe(false);
  await worker.terminate();
});

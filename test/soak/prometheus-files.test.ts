import { execFile, spawnSync } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { commandFolder } from "../cli/command-line.ts";
import { DEPLOY, deployFile } from "../deploy/deploy-file.ts";

const run = promisify(execFile);
const hasPromtool = spawnSync("promtool", ["--version"]).status === 0;

test.skipIf(!hasPromtool)(
  "deploy/compose/prometheus: Prometheus accepts the configuration and its alerts",
  async () => {
    const { stdout } = await run("promtool", ["check", "config", join(DEPLOY, "compose/prometheus/prometheus.yaml")]);
    expect(stdout).toMatch(/SUCCESS: \d+ rules found/);
    const wrong = await commandFolder({
      "alerts.yaml": deployFile("compose/prometheus/alerts.yaml").replace("expr:", "exrp:"),
    });
    await expect(run("promtool", ["check", "rules", join(wrong, "alerts.yaml")])).rejects.toThrow("exrp");
  },
);

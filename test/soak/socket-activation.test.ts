import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { expect, onTestFinished, test } from "vitest";
import { commandFolder } from "../cli/command-line.ts";
import { freePort } from "../free-port.ts";

const MAIN = join(import.meta.dirname, "../../src/cli/main.ts");
const CONFIG = JSON.stringify({ journal: "memory", children: [{ name: "assistant", activation: "lazy" }] });

/** systemd's own test program for socket activation. It listens, and becomes the service at the first connection. */
const ACTIVATE = "systemd-socket-activate";
const hasSystemd = spawnSync(ACTIVATE, ["--version"]).status === 0;

test.skipIf(!hasSystemd)(
  "castellan serve: is activated by systemd's socket, and answers the request that did it",
  async () => {
    const cwd = await commandFolder({ "castellan.config.json": CONFIG });
    const address = `127.0.0.1:${await freePort()}`;
    const env = ["PATH", "HOME"].map((name) => `--setenv=${name}`);
    const service = [process.execPath, MAIN, "serve", "--json"];
    const child = spawn(ACTIVATE, ["--listen", address, ...env, ...service], { cwd });
    onTestFinished(() => void child.kill("SIGKILL"));
    let stderr = "";
    child.stderr.on("data", (data) => {
      stderr += data;
    });
    while (!stderr.includes(`Listening on ${address}`)) await once(child.stderr, "data");
    const lines = createInterface({ input: child.stdout });
    const [[line], answer] = await Promise.all([once(lines, "line"), fetch(`http://${address}/livez`)]);
    expect(answer.status).toBe(200);
    expect(JSON.parse(line).url).toBe(`http://${address}`);
    expect((await fetch(`http://${address}/readyz`)).status).toBe(200);
    const ended = once(child, "exit");
    child.kill("SIGTERM");
    expect(await ended).toEqual([null, "SIGTERM"]);
  },
);

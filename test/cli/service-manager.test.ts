import { chmod, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { ServiceManager, systemdNotify } from "../../src/cli/connection/service-manager.ts";
import { SimulatedClock } from "../../src/testing/index.ts";
import { RunningCommand } from "./command-line.ts";

const NOTIFIED = { NOTIFY_SOCKET: "/run/systemd/notify" };

function manager(env: NodeJS.ProcessEnv) {
  const told: string[] = [];
  const clock = new SimulatedClock();
  const life = { isLive: true };
  const notify = async (...state: readonly string[]): Promise<void> => void told.push(state.join(" "));
  const service = new ServiceManager({ env, pid: 7, clock, isLive: () => life.isLive, notify });
  return { service, told, clock, life };
}

describe("ServiceManager", () => {
  test.each([
    ["systemd does not wait for it", {}, []],
    ["without a watchdog", NOTIFIED, ["--ready --status=Serving"]],
    [
      "with a watchdog of another process",
      { ...NOTIFIED, WATCHDOG_USEC: "1000000", WATCHDOG_PID: "8" },
      ["--ready --status=Serving"],
    ],
    ["with a watchdog that makes no sense", { ...NOTIFIED, WATCHDOG_USEC: "soon" }, ["--ready --status=Serving"]],
  ])("tells once that the service is ready: %s", async (_, env, expected) => {
    const { service, told, clock } = manager(env);
    await service.ready("Serving");
    await clock.advance(60_000);
    expect(told).toEqual(expected);
  });

  test("tells twice in each period of the watchdog that the process is alive, until it is not, or is stopped", async () => {
    const { service, told, clock, life } = manager({ ...NOTIFIED, WATCHDOG_USEC: "10000000", WATCHDOG_PID: "7" });
    await service.ready("Serving");
    await clock.advance(10_000);
    expect(told).toEqual(["--ready --status=Serving", "WATCHDOG=1", "WATCHDOG=1"]);
    life.isLive = false;
    await clock.advance(10_000);
    expect(told).toHaveLength(3);
    life.isLive = true;
    await clock.advance(5_000);
    await service.stopping();
    expect(told.slice(3)).toEqual(["WATCHDOG=1", "STOPPING=1"]);
    service.stop();
    await clock.advance(60_000);
    expect(told).toHaveLength(5);
  });

  test("tells nothing more once it is stopped while it tells something", async () => {
    const told: string[] = [];
    const clock = new SimulatedClock();
    const sent = Promise.withResolvers<void>();
    const notify = async (...state: readonly string[]): Promise<void> => {
      told.push(state.join(" "));
      if (state[0] === "WATCHDOG=1") await sent.promise;
    };
    const env = { ...NOTIFIED, WATCHDOG_USEC: "10000000" };
    const service = new ServiceManager({ env, pid: 7, clock, isLive: () => true, notify });
    await service.ready("Serving");
    await clock.advance(5_000);
    service.stop();
    sent.resolve();
    await clock.advance(60_000);
    expect(told).toEqual(["--ready --status=Serving", "WATCHDOG=1"]);
    expect(clock.timers).toBe(0);
  });
});

test("castellan serve: tells systemd by its program when it is ready, lives and ends", async () => {
  const cwd = await mkdtemp(join(tmpdir(), "castellan-notify-"));
  onTestFinished(() => rm(cwd, { recursive: true, force: true }));
  const program = join(cwd, "systemd-notify");
  await writeFile(program, `#!/bin/sh\necho "$*" >> "${cwd}/told"\n`);
  await chmod(program, 0o755);
  await writeFile(join(cwd, "castellan.config.json"), JSON.stringify({ journal: "memory", children: [] }));
  const env = { ...NOTIFIED, WATCHDOG_USEC: "200000", PATH: `${cwd}${delimiter}${process.env["PATH"]}` };
  const server = new RunningCommand(["serve"], { cwd, env });
  const told = async (): Promise<readonly string[]> =>
    (await readFile(join(cwd, "told"), "utf8").catch(() => "")).split("\n").filter(Boolean);
  const line = await server.firstLine();
  await vi.waitUntil(async () => (await told()).filter((state) => state === "WATCHDOG=1").length > 2, {
    timeout: 30_000,
  });
  expect((await told())[0]).toBe(`--ready --status=${line}`);
  server.child.kill("SIGTERM");
  await server.ended;
  expect(await told()).toContain("STOPPING=1");
});

test("systemdNotify: warns where the program is missing", async () => {
  const warning = vi.spyOn(process, "emitWarning").mockImplementation(() => {});
  onTestFinished(() => warning.mockRestore());
  vi.stubEnv("PATH", "");
  onTestFinished(() => void vi.unstubAllEnvs());
  await systemdNotify("READY=1");
  expect(warning.mock.calls[0]?.[0]).toContain("systemd cannot be told READY=1");
});

import { execFile, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { chown, cp, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { expect, onTestFinished, test, vi } from "vitest";
import { CastellanClient } from "../../src/client/index.ts";
import { mockApi } from "../../src/testing/index.ts";
import { DEPLOY, deployFile, parseUnit } from "../deploy/deploy-file.ts";
import { freePort } from "../free-port.ts";
import { AppImage } from "./app-image.ts";
import { Container, runsContainers, volumeFolder } from "./container.ts";

const run = promisify(execFile);
const hasSystemd = spawnSync("systemd-analyze", ["--version"]).status === 0;

/** The exposure that `systemd-analyze security` may find, of 100; systemd calls up to 40 "OK". */
const MAX_EXPOSURE = 30;

async function folder(): Promise<string> {
  const made = await mkdtemp(join(tmpdir(), "castellan-units-"));
  onTestFinished(() => rm(made, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 }));
  return made;
}

/** What systemd says of our units. */
async function complaints(paths: readonly string[]): Promise<string[]> {
  const args = ["verify", "--man=no", "--recursive-errors=no", ...paths];
  const { stderr } = await run("systemd-analyze", args).catch((error: { readonly stderr: string }) => error);
  return stderr.split("\n").filter((line) => line.includes("castellan"));
}

test.skipIf(!hasSystemd)("deploy/systemd: systemd has no complaint, and finds the services protected", async () => {
  const units = await folder();
  for (const name of ["castellan.service", "castellan@.service", "castellan.socket"])
    await cp(join(DEPLOY, "systemd", name), join(units, name));
  const paths = ["castellan.service", "castellan@blue.service", "castellan.socket"].map((name) => join(units, name));
  // The program is on another machine.
  for (const name of ["castellan.service", "castellan@.service"]) {
    const text = await readFile(join(units, name), "utf8");
    await writeFile(join(units, name), text.replace(/^ExecStart=\S+/m, `ExecStart=${process.execPath}`));
  }
  expect(await complaints(paths)).toEqual([]);
  const wrong = join(units, "castellan-wrong.service");
  await writeFile(wrong, (await readFile(join(units, "castellan.service"), "utf8")).replace("KillMode", "KilMode"));
  expect(await complaints([wrong])).toEqual([expect.stringContaining("KilMode")]);

  const security = ["security", "--offline=true", `--threshold=${MAX_EXPOSURE}`, "--no-pager", ...paths.slice(0, 1)];
  await expect(run("systemd-analyze", security)).resolves.toBeDefined();
});

/** The system calls of a filter of systemd. */
async function systemCalls(filter: string): Promise<string[]> {
  const { stdout } = await run("systemd-analyze", ["syscall-filter", filter]);
  const names = [...stdout.matchAll(/^ {4}(\S+)$/gm)]
    .map(([, name = ""]) => name)
    .filter((name) => !name.startsWith("#"));
  const inner = names.filter((name) => name.startsWith("@"));
  const below = await Promise.all(inner.map(systemCalls));
  return [...new Set([...names.filter((name) => !name.startsWith("@")), ...below.flat()])];
}

test.skipIf(!hasSystemd || !runsContainers)(
  "deploy/systemd/castellan.service: the server and Claude Code run with its system calls alone",
  { timeout: 120_000 },
  async () => {
    const service = parseUnit(deployFile("systemd/castellan.service")).get("Service");
    const [filter = ""] = service?.get("SystemCallFilter") ?? [];
    const allowed = await systemCalls(filter);
    expect(allowed).toContain("openat");
    expect(allowed).not.toContain("mount");
    await using image = await AppImage.build();
    await using api = await mockApi();
    const parent = await folder();
    const volumes = {
      "/var/lib/castellan": await volumeFolder(parent, "journal"),
      "/home/castellan": await volumeFolder(parent, "home"),
    };
    const { HOME: _, CLAUDE_CONFIG_DIR: __, PATH: ___, ...env } = api.env;
    const options = { image, volumes, env };
    const created = await Container.run(options, "castellan", "token", "create", "--scope", "read", "talk", "--json");
    await using container = await Container.start({ ...options, systemCalls: allowed });
    // 2: the kernel filters.
    expect((await container.exec("grep Seccomp: /proc/1/status")).stdout).toBe("Seccomp:\t2\n");
    const client = new CastellanClient({ url: container.url, token: JSON.parse(created.stdout).token });
    expect((await client.session(["support", 1]).query("hello")).text).toBe("You said: hello");
    expect(await container.stop()).toMatchObject({ code: 143 });
  },
);

/** Prints each message that comes to a socket of datagrams, which Node.js does not have. */
const RECEIVER = `
use IO::Socket::UNIX; use Socket; $| = 1;
my $socket = IO::Socket::UNIX->new(Type => SOCK_DGRAM, Local => $ARGV[0]) or die $!;
chmod 0666, $ARGV[0];
print "listening\\n";
while (defined($socket->recv(my $message, 65536))) { print join(" ", split(/\\n/, $message)), "\\n"; }
`;

/** A manager of services that listens as systemd does. */
async function manager(): Promise<{ readonly socket: string; readonly told: () => readonly string[] }> {
  const own = await folder();
  const socket = join(own, "notify");
  const receiver = spawn("perl", ["-e", RECEIVER, socket], { stdio: ["ignore", "pipe", "inherit"] });
  onTestFinished(() => void receiver.kill());
  await run("chmod", ["755", own]);
  let text = "";
  receiver.stdout.on("data", (data) => {
    text += data;
  });
  await once(receiver.stdout, "data");
  return { socket, told: () => text.split("\n").slice(1, -1) };
}

const SYSTEMD_NOTIFY = spawnSync("systemd-notify", ["--version"]).status === 0;

test.skipIf(!SYSTEMD_NOTIFY || process.getuid?.() !== 0)(
  "deploy/systemd/castellan.service: its command runs as its user, tells systemd what it awaits, and ends by SIGTERM",
  { timeout: 120_000 },
  async () => {
    await using image = await AppImage.build();
    await using api = await mockApi();
    const { socket, told } = await manager();
    const service = parseUnit(deployFile("systemd/castellan.service")).get("Service");
    const state = await folder();
    const [uid, gid] = [65_534, 65_534];
    await mkdir(join(state, "home"));
    for (const path of [state, join(state, "home")]) await chown(path, uid, gid);
    const [port, metricsPort] = [await freePort(), await freePort()];
    /** The paths of this test in place of those of the unit. */
    const here = (text: string): string =>
      text
        .replaceAll("/srv/castellan", image.folder)
        .replaceAll("/var/lib/castellan", state)
        .replace(":8080", `:${port}`)
        .replace(":9464", `:${metricsPort}`);
    const [command = "", ...args] = here(service?.get("ExecStart")?.[0] ?? "").split(" ");
    const env = Object.fromEntries(
      here(service?.get("Environment")?.[0] ?? "")
        .split(" ")
        .map((one) => one.split("=")),
    );
    const { HOME: _, CLAUDE_CONFIG_DIR: __, PATH: ___, ...model } = api.env;
    await run("chmod", ["755", dirname(image.folder)]);
    const drop = [
      "--reuid",
      String(uid),
      "--regid",
      String(gid),
      "--clear-groups",
      "--no-new-privs",
      "--bounding-set=-all",
      "--inh-caps=-all",
    ];
    const server = spawn("setpriv", [...drop, command, ...args], {
      cwd: state,
      env: {
        PATH: `${join(image.folder, "node_modules/.bin")}:/usr/bin:/bin`,
        ...env,
        ...model,
        NOTIFY_SOCKET: socket,
        WATCHDOG_USEC: "1000000",
      },
      stdio: ["ignore", "ignore", "inherit"],
    });
    const ended = once(server, "exit");
    onTestFinished(() => void server.kill("SIGKILL"));
    await vi.waitUntil(() => told().some((line) => line.includes("READY=1")), { timeout: 60_000 });
    await vi.waitUntil(() => told().includes("WATCHDOG=1"), { timeout: 60_000 });
    const client = new CastellanClient({ url: `http://127.0.0.1:${port}` });
    expect((await client.session(["support", 1]).query("hello")).text).toBe("You said: hello");
    server.kill("SIGTERM");
    expect(await ended).toEqual([null, "SIGTERM"]);
    expect(told()).toContain("STOPPING=1");
  },
);

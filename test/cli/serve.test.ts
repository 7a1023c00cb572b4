import { once } from "node:events";
import { readFile, stat } from "node:fs/promises";
import { type AddressInfo, createServer } from "node:net";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { castellan, commandFolder, RunningCommand } from "./command-line.ts";

const CONFIG = JSON.stringify({ journal: "memory", children: [{ name: "assistant", activation: "lazy" }] });

async function serving(cwd: string, ...args: string[]): Promise<{ command: RunningCommand; url: string }> {
  const command = new RunningCommand(["serve", "--json", ...args], { cwd });
  onTestFinished(async () => {
    command.child.kill("SIGKILL");
    await command.ended;
  });
  const { url } = JSON.parse(await command.firstLine());
  return { command, url };
}

test("castellan serve: prints its URL when it is ready, is found by its file, and removes that at SIGTERM", async () => {
  const cwd = await commandFolder({ "castellan.config.json": CONFIG });
  const { token } = JSON.parse((await castellan(["token", "create", "--json"], { cwd })).stdout);
  const { command, url } = await serving(cwd, "--listen", "127.0.0.1:0", "--access-log");
  expect((await fetch(`${url}/readyz`)).status).toBe(200);
  const file = join(cwd, ".castellan/server.json");
  const socket = join(cwd, ".castellan/server.sock");
  expect(JSON.parse(await readFile(file, "utf8"))).toEqual({ url, pid: command.child.pid, socket });
  expect([(await stat(file)).mode & 0o777, (await stat(socket)).mode & 0o777]).toEqual([0o600, 0o600]);

  // There is a token, so the loopback interface needs one.
  expect((await fetch(`${url}/castellan/v1/none`)).status).toBe(401);
  const headers = { authorization: `Bearer ${token}` };
  expect((await fetch(`${url}/castellan/v1/none`, { headers })).status).toBe(404);

  command.child.kill("SIGTERM");
  const { signal, stderr } = await command.ended;
  expect(signal).toBe("SIGTERM");
  await expect(stat(file)).rejects.toThrow("ENOENT");
  await expect(stat(socket)).rejects.toThrow("ENOENT");
  const lines = stderr
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
  expect(lines.map(({ message }) => message.split(" ").slice(0, 3).join(" "))).toEqual([
    "GET /readyz 200",
    "GET /castellan/v1/none 401",
    "GET /castellan/v1/none 404",
  ]);
  expect(stderr).not.toContain(token);
});

test("castellan serve: leaves nothing running or written when it cannot start", async () => {
  const cwd = await commandFolder({ "castellan.config.json": CONFIG });
  const results = await Promise.all(
    [
      ["--config", "none.json"],
      ["--listen", "0.0.0.0:0"],
    ].map((args) => castellan(["serve", "--json", ...args], { cwd })),
  );
  expect(results.map(({ code }) => code)).toEqual([2, 2]);
  expect(results.map(({ stdout }) => stdout)).toEqual(["", ""]);
  for (const { stderr } of results) expect(JSON.parse(stderr)).toMatchObject({ error: { code: "INVALID_OPTIONS" } });
  await expect(stat(join(cwd, ".castellan/server.json"))).rejects.toThrow("ENOENT");
});

test("castellan serve --metrics: serves metrics at an address of their own, from the first process on, until it ends", async () => {
  const cwd = await commandFolder({ "castellan.config.json": CONFIG });
  const command = new RunningCommand(["serve", "--json", "--metrics", "127.0.0.1:0"], { cwd });
  onTestFinished(async () => {
    command.child.kill("SIGKILL");
    await command.ended;
  });
  const { url, metrics } = JSON.parse(await command.firstLine());
  const text = await (await fetch(metrics)).text();
  expect(text).toMatch(/^castellan_sessions\{.*castellan_session_state="hibernated".*\} 1$/m);
  expect((await fetch(new URL("/other", metrics))).status).toBe(404);
  // The port of the API has no metrics.
  expect((await fetch(`${url}/metrics`)).status).toBe(404);
  command.child.kill("SIGTERM");
  expect(await command.ended).toMatchObject({ signal: "SIGTERM" });
  await expect(fetch(metrics)).rejects.toThrow("fetch failed");
});

test("castellan serve --metrics: names an address that is taken, and leaves nothing running", async () => {
  const cwd = await commandFolder({ "castellan.config.json": CONFIG });
  await using taken = await occupied();
  const { code, stderr } = await castellan(["serve", "--json", "--metrics", `127.0.0.1:${taken.port}`], { cwd });
  expect(code).toBe(2);
  expect(JSON.parse(stderr).error).toMatchObject({
    code: "INVALID_OPTIONS",
    message: expect.stringContaining("EADDRINUSE"),
  });
});

/** A port that another server listens on. */
async function occupied(): Promise<AsyncDisposable & { readonly port: number }> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    [Symbol.asyncDispose]: async () => {
      server.close();
      await once(server, "close");
    },
  };
}

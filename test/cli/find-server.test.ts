import { chmod, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { findServer } from "../../src/cli/connection/find-server.ts";
import { findServerFile, removeServerFile, writeServerFile } from "../../src/cli/connection/server-file.ts";
import { listen } from "../../src/server/listen.ts";
import { ServerScene } from "../server/scene.ts";
import { commandFolder } from "./command-line.ts";

const URL_OF = "http://127.0.0.1:1";

test("findServerFile(): finds the file of a running server here or above, and not that of a dead one", async () => {
  const cwd = await commandFolder();
  const below = join(cwd, "a", "b");
  await mkdir(below, { recursive: true });
  await writeServerFile({ url: URL_OF, pid: process.pid }, cwd);
  expect(await findServerFile(below)).toEqual({ url: URL_OF, pid: process.pid });
  await writeServerFile({ url: URL_OF, pid: 2 ** 22 + 1 }, join(cwd, "a"));
  expect(await findServerFile(below)).toEqual({ url: URL_OF, pid: process.pid });
  await removeServerFile(process.pid + 1, cwd);
  expect(await findServerFile(below)).toBeDefined();
  await removeServerFile(process.pid, cwd);
  expect(await findServerFile(below)).toBeUndefined();
});

test("findServerFile(): ignores a file that another user could have written, and one that is damaged", async () => {
  const cwd = await commandFolder();
  await writeServerFile({ url: URL_OF, pid: process.pid }, cwd);
  const path = join(cwd, ".castellan/server.json");
  await chmod(path, 0o620);
  expect(await findServerFile(cwd)).toBeUndefined();
  await chmod(path, 0o600);
  await writeFile(path, '{"url":');
  expect(await findServerFile(cwd)).toBeUndefined();
});

test("findServer(): prefers --url to CASTELLAN_URL to the file, and asks through the socket", async () => {
  await using scene = await ServerScene.start();
  const socket = join(scene.folder, "server.sock");
  await using server = await listen(scene.supervisor, { tokens: scene.tokens, socket });
  await scene.tokens.create();
  await using guarded = await listen(scene.supervisor, { tokens: scene.tokens });
  const cwd = scene.folder;
  await writeServerFile({ url: guarded.url, pid: process.pid, socket }, cwd);
  const byFile = await findServer({ env: {}, cwd });
  expect((await byFile.server()).caller.id).toBe("local");
  const { sessions } = await byFile.listSessions({ prefix: "assistant" });
  expect(sessions.map(({ name }) => name)).toEqual(["assistant"]);
  const bySocket = await findServer({ url: `unix:${socket}`, env: { CASTELLAN_URL: "http://127.0.0.1:9" }, cwd });
  expect((await bySocket.session("assistant").query("through a socket")).text).toContain("through a socket");
  const byUrl = await findServer({ env: { CASTELLAN_URL: guarded.url }, cwd });
  await expect(byUrl.server()).rejects.toMatchObject({ code: "UNAUTHENTICATED" });
  const { token } = await scene.tokens.create();
  const withToken = await findServer({ env: { CASTELLAN_URL: guarded.url, CASTELLAN_TOKEN: token }, cwd });
  expect((await withToken.server()).caller.id).toMatch(/^token:/);
  expect(server.needsToken).toBe(false);
  await expect(findServer({ url: "nonsense", env: {}, cwd })).rejects.toMatchObject({ code: "NO_SERVER" });
});

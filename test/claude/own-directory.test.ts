import { execFileSync } from "node:child_process";
import { mkdir, mkdtemp, readdir, readFile, realpath, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Settings } from "@anthropic-ai/claude-agent-sdk";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { filesAt } from "../../src/claude/conversation-files.ts";
import {
  emptyOwnDirectory,
  keptInOwnDirectory,
  makeOwnDirectory,
  settingsWithin,
} from "../../src/claude/own-directory.ts";

let base: string;

beforeEach(async () => {
  base = await realpath(await mkdtemp(join(tmpdir(), "castellan-own-")));
});

afterEach(async () => {
  await rm(base, { recursive: true, force: true });
});

const at = (name: string) => ({ root: base, path: join(base, name) });
const modeOf = async (path: string): Promise<number> => (await stat(path)).mode & 0o777;

describe("makeOwnDirectory", () => {
  it("creates the directory and its parents for this user only", async () => {
    const root = join(base, "a", "sessions");
    await makeOwnDirectory({ root, path: join(root, "one") });
    for (const path of [join(base, "a"), root, join(root, "one")]) expect(await modeOf(path)).toBe(0o700);
    expect(await readdir(join(root, "one"))).toEqual([]);
  });

  it("keeps an existing directory, also when it is created twice at once", async () => {
    const [one, other] = [at("one"), at("other")];
    await Promise.all([one, one, other].map(makeOwnDirectory));
    await writeFile(join(one.path, "file"), "kept");
    await writeFile(join(base, ".gitignore"), "kept");
    await makeOwnDirectory(one);
    expect(await readFile(join(base, ".gitignore"), "utf8")).toBe("kept");
    const { path } = one;
    expect(await readFile(join(path, "file"), "utf8")).toBe("kept");
  });

  it("lets programs that respect .gitignore search the directory, and ignores the folder above it", async () => {
    execFileSync("git", ["init", "-q"], { cwd: base });
    const root = join(base, ".castellan", "sessions");
    const own = { root, path: join(root, "one") };
    await makeOwnDirectory(own);
    await writeFile(join(own.path, "file"), "");
    expect(execFileSync("git", ["status", "--short", "-uall"], { cwd: base, encoding: "utf8" })).toBe("");
    expect(await readFile(join(base, ".castellan", ".gitignore"), "utf8")).toBe("*\n");
    expect(await readFile(join(root, ".gitignore"), "utf8")).toBe("!*\n");
  });

  it("rejects a link, which might lead to another session, and a file", async () => {
    await mkdir(join(base, "neighbour"));
    await symlink(join(base, "neighbour"), join(base, "link"));
    await writeFile(join(base, "file"), "");
    await expect(makeOwnDirectory(at("link"))).rejects.toThrow("is not a directory");
    await expect(makeOwnDirectory(at("file"))).rejects.toThrow("EEXIST");
    await expect(makeOwnDirectory({ root: join(base, "file"), path: join(base, "file", "one") })).rejects.toThrow(
      "ENOTDIR",
    );
  });
});

describe("emptyOwnDirectory", () => {
  it("removes everything in the directory, and nothing behind links", async () => {
    const [path, neighbour] = [join(base, "one"), join(base, "neighbour")];
    await mkdir(join(path, ".memory", "deep"), { recursive: true });
    await mkdir(neighbour);
    for (const file of [join(path, "a"), join(path, ".b"), join(path, ".memory", "deep", "c"), join(neighbour, "d")]) {
      await writeFile(file, "");
    }
    await symlink(neighbour, join(path, "link"));
    await symlink(join(neighbour, "d"), join(path, "linked file"));
    await emptyOwnDirectory(at("one"));
    expect(await readdir(path)).toEqual([]);
    expect(await readdir(neighbour)).toEqual(["d"]);
  });

  it("creates a missing directory, and rejects a link", async () => {
    const [path, neighbour] = [join(base, "one"), join(base, "neighbour")];
    await emptyOwnDirectory(at("one"));
    expect(await readdir(path)).toEqual([]);
    await mkdir(neighbour);
    await writeFile(join(neighbour, "d"), "");
    await symlink(neighbour, join(base, "link"));
    await expect(emptyOwnDirectory(at("link"))).rejects.toThrow("is not a directory");
    expect(await readdir(neighbour)).toEqual(["d"]);
  });
});

describe("keptInOwnDirectory", () => {
  it("lists files in the directory itself, and none behind links, which a command may have made", async () => {
    const [one, other] = [at("one"), at("other")];
    for (const { path } of [one, other]) {
      await mkdir(join(path, ".memory"), { recursive: true });
      await mkdir(join(path, ".claude"));
      await writeFile(join(path, ".memory", "MEMORY.md"), path);
      await writeFile(join(path, ".claude", "scheduled_tasks.json"), "[]");
    }
    const filesOf = async (directory: typeof one) =>
      (await Promise.all((await keptInOwnDirectory(directory)).map(filesAt))).flat();
    const whole = [join(one.path, ".memory", "MEMORY.md"), join(one.path, ".claude", "scheduled_tasks.json")];
    expect(await filesOf(one)).toEqual(whole);
    await symlink(join(other.path, ".memory", "MEMORY.md"), join(one.path, ".memory", "link.md"));
    expect(await filesOf(one)).toEqual(whole);
    for (const name of [".memory", ".claude"]) {
      await rm(join(one.path, name), { recursive: true });
      await symlink(join(other.path, name), join(one.path, name));
    }
    expect(await filesOf(one)).toEqual([]);
    expect(await filesOf(other)).toHaveLength(2);
  });
});

describe("settingsWithin", () => {
  const own = { root: "/all", path: "/all/own" };
  const block = { blockReadsOutsideWorkingDirectories: true, blockWritesOutsideWorkingDirectories: true };

  it("confines file tools, messages and sandboxed commands, and puts memory into the directory", () => {
    expect(settingsWithin(own, {}, false)).toEqual({
      crossSessionInbound: "refuse",
      permissions: block,
      sandbox: { filesystem: { denyRead: ["/all"] } },
    });
    expect(settingsWithin(own, {}, true)).toMatchObject({ autoMemoryDirectory: join("/all/own", ".memory") });
  });

  it("prefers the application's settings", () => {
    const settings = {
      model: "m",
      crossSessionInbound: "accept",
      autoMemoryDirectory: "/elsewhere",
      permissions: { deny: ["WebFetch"], blockWritesOutsideWorkingDirectories: false },
      sandbox: { enabled: true, filesystem: { denyRead: ["/secret"], allowWrite: ["/cache"] } },
    } satisfies Settings;
    expect(settingsWithin(own, settings, true)).toEqual({
      ...settings,
      permissions: { ...block, deny: ["WebFetch"], blockWritesOutsideWorkingDirectories: false },
      sandbox: { enabled: true, filesystem: { denyRead: ["/all", "/secret"], allowWrite: ["/cache"] } },
    });
  });
});

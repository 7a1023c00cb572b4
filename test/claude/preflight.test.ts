import { chmod, mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from "vitest";
import { preflight } from "../../src/claude/preflight.ts";

let root: string;
const at = (path: string): string => join(root, path);
const isRoot = process.getuid?.() === 0;

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "castellan-preflight-"));
  await mkdir(at("folder"));
  await mkdir(at("locked"), { mode: 0o000 });
  await writeFile(at("file"), "");
  await writeFile(at("binary"), "#!/bin/sh\n", { mode: 0o755 });
  await writeFile(at("plain"), "text", { mode: 0o644 });
  await writeFile(at("cli.mjs"), "", { mode: 0o644 });
  await symlink(at("gone"), at("dangling"));
  await symlink(at("folder"), at("linked"));
});

afterAll(async () => {
  await chmod(at("locked"), 0o755);
  await rm(root, { recursive: true, force: true });
});

describe("preflight(), cwd", () => {
  it("accepts a directory whose check resolves with null, as in Bun", async () => {
    vi.resetModules();
    vi.doMock("node:fs/promises", async (original) => ({
      ...(await original<typeof import("node:fs/promises")>()),
      access: async () => null,
    }));
    onTestFinished(() => {
      vi.doUnmock("node:fs/promises");
      vi.resetModules();
    });
    const { preflight: inBun } = await import("../../src/claude/preflight.ts");
    expect(await inBun({ cwd: at("folder"), executable: at("binary") })).toBeUndefined();
  });

  it.each(["folder", "linked", "."])("accepts %s", async (path) => {
    expect(await preflight({ cwd: at(path) })).toBeUndefined();
  });

  it.each([
    ["gone", "does not exist"],
    ["file", "is a file"],
    ["file/below", "a part of its path is a file"],
    ["dangling", "does not exist"],
  ])("rejects %s as bad_config, and says which option to change", async (path, words) => {
    const fault = await preflight({ cwd: at(path), executable: at("binary") });
    expect(fault).toMatchObject({ code: "START_FAILED", class: "bad_config" });
    expect(fault?.message).toContain(at(path));
    expect(fault?.message).toContain(words);
    expect(fault?.message).toContain("`cwd`");
  });

  it.skipIf(isRoot)("rejects a directory that this user may not enter", async () => {
    const fault = await preflight({ cwd: at("locked") });
    expect(fault).toMatchObject({ code: "START_FAILED", class: "bad_config" });
    expect(fault?.message).toContain("may not be used by this user");
  });

  it("reports the directory first when the binary is missing, too", async () => {
    expect(await preflight({ cwd: at("gone"), executable: at("nothing") })).toMatchObject({ code: "START_FAILED" });
  });
});

describe("preflight(), executable", () => {
  it.each(["binary", "cli.mjs"])("accepts %s", async (path) => {
    expect(await preflight({ cwd: root, executable: at(path) })).toBeUndefined();
  });

  it.each([
    ["nothing", "does not exist"],
    ["file/claude", "a part of its path is a file"],
    ["folder", "is not a file"],
    ["plain", "may not be used by this user"],
    ["dangling", "does not exist"],
  ])("rejects %s", async (path, words) => {
    const fault = await preflight({ cwd: root, executable: at(path) });
    expect(fault).toMatchObject({ code: "CLAUDE_NOT_FOUND", class: "bad_config" });
    expect(fault?.message).toContain(at(path));
    expect(fault?.message).toContain(words);
  });
});

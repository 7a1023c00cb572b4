import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { castellan, commandFolder } from "./command-line.ts";

test("castellan token: creates a token that is shown once, lists it, and revokes it", async () => {
  const cwd = await commandFolder();
  const args = [
    "--scope",
    "read",
    "talk",
    "--prefix",
    "support/42",
    "--label",
    "user=ann",
    "--note",
    "support",
    "--json",
  ];
  const created = await castellan(["token", "create", ...args], { cwd });
  expect(created.code).toBe(0);
  const { token, id, ...limits } = JSON.parse(created.stdout);
  expect(limits).toMatchObject({ scopes: ["read", "talk"], prefix: ["support", 42], labels: { user: "ann" } });
  expect(await readFile(join(cwd, ".castellan/tokens.jsonl"), "utf8")).not.toContain(token.slice(-43));

  const listed = await castellan(["token", "list"], { cwd });
  expect(listed.stdout).toContain(`│ ${id} │ read talk │ support/42 user=ann │ valid │`);
  expect((await castellan(["token", "revoke", id], { cwd })).stdout).toBe(`Revoked ${id}.\n`);
  expect((await castellan(["token", "list"], { cwd })).stdout).toContain("revoked");
});

test("castellan: exits with 2 for wrong arguments and options, 5 for an unknown id, and says it as JSON on request", async () => {
  const cwd = await commandFolder();
  const run = (...args: string[]) => castellan(args, { cwd });
  const [unknown, wrong, late, missing, help] = await Promise.all([
    run("unknown"),
    run("token", "create", "--scope", "write"),
    run("token", "create", "--expires", "soon", "--json"),
    run("token", "revoke", "00", "--json"),
    run("--help"),
  ]);
  expect([unknown.code, wrong.code, late.code, missing.code, help.code]).toEqual([2, 2, 2, 5, 0]);
  expect(unknown.stderr).toContain("unknown command");
  expect(JSON.parse(late.stderr)).toEqual({
    error: { code: "INVALID_OPTIONS", message: expect.stringContaining("expiresIn") },
  });
  expect(JSON.parse(missing.stderr)).toMatchObject({ error: { code: "NOT_FOUND" } });
  expect(help.stdout).toContain("Exit codes:");
});

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, onTestFinished, test, vi } from "vitest";
import { commandFolder } from "./command-line.ts";
import { runHere } from "./served.ts";

/** The commands on tokens ask no server. */
const run = (...args: string[]) => runHere(args, "");

test("castellan token: creates a token that is shown once, lists it, and revokes it", async () => {
  const file = join(await commandFolder(), "tokens.jsonl");
  const limits = ["--scope", "read", "talk", "--prefix", "support/42", "--label", "user=ann", "--note", "team"];
  const created = await run("token", "create", ...limits, "--file", file, "--json");
  expect(created.code).toBe(0);
  const { token, id, ...info } = JSON.parse(created.stdout);
  expect(info).toMatchObject({ scopes: ["read", "talk"], prefix: ["support", 42], labels: { user: "ann" } });
  expect(await readFile(file, "utf8")).not.toContain(token.slice(-43));

  const listed = await run("token", "list", "--file", file);
  expect(listed.stdout).toMatch(new RegExp(`^${id}  read talk  support/42 user=ann  valid  `, "m"));
  expect((await run("token", "revoke", id, "--file", file)).stdout).toBe(`Revoked ${id}.\n`);
  expect((await run("token", "list", "--file", file)).stdout).toContain("  revoked  ");
});

test("castellan token: takes the file from CASTELLAN_TOKENS, unless --file names another", async () => {
  const folder = await commandFolder();
  vi.stubEnv("CASTELLAN_TOKENS", join(folder, "shared.jsonl"));
  onTestFinished(() => void vi.unstubAllEnvs());
  const { id } = JSON.parse((await run("token", "create", "--json")).stdout);
  expect(await readFile(join(folder, "shared.jsonl"), "utf8")).toContain(id);
  vi.stubEnv("CASTELLAN_TOKENS", join(folder, "shared.jsonl"));
  expect((await run("token", "list", "--file", join(folder, "own.jsonl"))).stdout).not.toContain(id);
});

test("castellan: exits with 2 for wrong arguments and options, 5 for an unknown id, and says it as JSON on request", async () => {
  const file = join(await commandFolder(), "tokens.jsonl");
  const unknown = await run("unknown");
  const wrong = await run("token", "create", "--scope", "write", "--file", file);
  const late = await run("token", "create", "--expires", "soon", "--json", "--file", file);
  const missing = await run("token", "revoke", "00", "--json", "--file", file);
  const help = await run("--help");
  expect([unknown.code, wrong.code, late.code, missing.code, help.code]).toEqual([2, 2, 2, 5, 0]);
  expect(unknown.stderr).toContain("unknown command");
  expect(JSON.parse(late.stderr)).toEqual({
    error: { code: "INVALID_OPTIONS", message: expect.stringContaining("expiresIn") },
  });
  expect(JSON.parse(missing.stderr)).toMatchObject({ error: { code: "NOT_FOUND" } });
  expect(help.stdout).toContain("Exit codes:");
});

import { mkdtemp, readdir, readFile, realpath, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { session } from "castellan";
import { expect, onTestFinished, test } from "vitest";
import { ask, startTenants, upload } from "../../examples/tenants.ts";
import { onFake } from "./on-fake.ts";

test("tenants.ts: gives each user of a tenant a directory, and the tenant's key", async () => {
  const root = await realpath(await mkdtemp(join(tmpdir(), "castellan-tenants-")));
  onTestFinished(() => rm(root, { recursive: true, force: true }));
  const { fake, options } = onFake();
  await using _ = await startTenants(root, (tenant) => `sk-ant-${tenant}`, options);
  const users = [
    ["acme", "ada"],
    ["acme", "../ada"],
    ["other", "ada"],
  ] as const;
  for (const [tenant, user] of users) await ask(tenant, user, "Hello");
  expect(fake.processes.map(({ env }) => env["ANTHROPIC_API_KEY"])).toEqual([
    "sk-ant-acme",
    "sk-ant-acme",
    "sk-ant-other",
  ]);
  const places = fake.processes.map(({ cwd }) => cwd);
  expect(new Set(places).size).toBe(3);
  expect(new Set(places.map(dirname))).toEqual(new Set([root]));
});

test("tenants.ts: uploads a file into the session's directory only, also before the first turn", async () => {
  const root = await realpath(await mkdtemp(join(tmpdir(), "castellan-tenants-")));
  onTestFinished(() => rm(root, { recursive: true, force: true }));
  const { options } = onFake();
  await using _ = await startTenants(root, () => "sk-ant-key", options);
  await upload("acme", "ada", "../../notes.txt", Buffer.from("hello"));
  const { cwd } = session(["support", "acme", "ada"]);
  expect(await readdir(cwd)).toEqual(["notes.txt"]);
  expect(await readFile(join(cwd, "notes.txt"), "utf8")).toBe("hello");
  const elsewhere = join(root, "elsewhere");
  await symlink(elsewhere, join(cwd, "link"));
  await writeFile(elsewhere, "kept");
  for (const name of ["notes.txt", "link"]) {
    await expect(upload("acme", "ada", name, Buffer.from("other"))).rejects.toMatchObject({ code: "EEXIST" });
  }
  expect(await readFile(elsewhere, "utf8")).toBe("kept");
});

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { query, session } from "castellan";
import { expect, onTestFinished, test, vi } from "vitest";
import { startStrict } from "../../examples/security.ts";
import { onFake } from "./on-fake.ts";

test("security.ts: gives a session its own key, directory and tools, and nothing of the machine", async () => {
  const root = await mkdtemp(join(tmpdir(), "castellan-strict-"));
  onTestFinished(() => rm(root, { recursive: true }));
  vi.stubEnv("TENANT_KEY", "key-of-the-tenant");
  vi.stubEnv("ANTHROPIC_AUTH_TOKEN", "token-of-the-host");
  vi.stubEnv("DATABASE_URL", "postgres://host");
  onTestFinished(() => void vi.unstubAllEnvs());
  const { fake, options } = onFake();
  await using _supervisor = await startStrict(root, options);
  await query(["support", "acme", "../ada"], "hello");
  const [started] = fake.processes;
  expect(started?.env["ANTHROPIC_API_KEY"]).toBe("key-of-the-tenant");
  expect(JSON.stringify(started?.env)).not.toMatch(/token-of-the-host|postgres:/);
  expect(started?.args.join(" ")).toContain("--tools=Read,Write,Edit");
  expect(session(["support", "acme", "../ada"]).cwd.startsWith(`${root}/support-acme-ada-`)).toBe(true);
});

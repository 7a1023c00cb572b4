import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { PostgresServer } from "../journal/postgres-server.ts";
import { castellan } from "./command-line.ts";

let server: PostgresServer;

beforeAll(async () => {
  server = await PostgresServer.start();
});

afterAll(async () => {
  await server?.remove();
});

async function folder(config: object): Promise<string> {
  const cwd = await mkdtemp(join(tmpdir(), "castellan-migrate-"));
  onTestFinished(() => rm(cwd, { recursive: true, force: true }));
  await writeFile(join(cwd, "castellan.config.json"), JSON.stringify(config));
  return cwd;
}

test("castellan migrate: migrates the schemas of the config file as their owner, and grants a role what it needs", async () => {
  await server.sql("create role app login password 'app'");
  const cwd = await folder({ journal: { postgres: { env: "DATABASE_URL" }, schema: "one" } });
  const env = { DATABASE_URL: server.url() };
  const first = await castellan(["migrate", "--grant-to", "app", "--json"], { cwd, env });
  expect(first.stderr).toBe("");
  expect(JSON.parse(first.stdout)).toEqual([
    {
      location: `postgres://127.0.0.1:${server.port}/postgres (schema one)`,
      changed: ["journal", "cluster", "transcripts"],
    },
  ]);
  const app = { DATABASE_URL: server.url().replace(/\/\/[^@]*@/, "//app:app@") };
  const second = await castellan(["migrate"], { cwd, env: app });
  expect(second).toMatchObject({ code: 0, stdout: expect.stringMatching(/\(schema one\): up to date\n$/) });
  const stranger = await folder({ journal: { postgres: { env: "DATABASE_URL" }, schema: "two" } });
  const denied = await castellan(["migrate"], { cwd: stranger, env: app });
  expect(denied.code).toBe(6);
  expect(denied.stderr).toContain("may not create the schema two");
});

test("castellan migrate: says that the config file names no PostgreSQL database", async () => {
  const cwd = await folder({ journal: { sqlite: "a.db" } });
  const { code, stderr } = await castellan(["migrate"], { cwd });
  expect(code).toBe(5);
  expect(stderr).toContain("names no PostgreSQL database");
});

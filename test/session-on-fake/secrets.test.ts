import { readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inspect } from "node:util";
import { expect, onTestFinished, test } from "vitest";
import { formatInspection } from "../../src/application/inspection/inspection-text.ts";
import { Supervisor } from "../../src/application/supervisor.ts";
import { query } from "../../src/castellan.ts";
import type { CastellanError } from "../../src/errors.ts";
import { follow } from "../../src/telemetry/follow.ts";
import { logEvents } from "../../src/telemetry/log.ts";
import { failure, Scene, unique } from "./scene.ts";

const KEY = `sk-ant-api03-${"Zq7".repeat(31)}`;

/** Whether a part of the key shows in the value, printed in any way. */
function leaks(value: unknown): boolean {
  const text = `${typeof value === "string" ? value : inspect(value, { depth: 30, maxStringLength: null })}`;
  return text.includes("Zq7Zq7Zq7");
}

test("Secrets: a key in a dying process's error output shows in no error, log, inspection or journal", async () => {
  const sqlite = join(tmpdir(), `${unique("secrets")}.db`);
  onTestFinished(async () => {
    for (const end of ["", "-wal", "-shm", "-owner"]) await rm(sqlite + end, { force: true });
  });
  const said: unknown[] = [];
  const logger = { info: (...line: unknown[]) => said.push(line), warn: (...line: unknown[]) => said.push(line) };
  onTestFinished(logEvents(logger));
  // The 2 kB tail of the error output begins within the key, or after it.
  for (const after of [0, 1_990]) {
    await using scene = await Scene.open({
      script: (turn) => turn.crash({ stderr: `the key ${KEY} is refused ${"y".repeat(after)}` }),
      session: { apiKey: KEY, onInterruptedTurn: "fail" },
      options: { journal: { sqlite }, logger },
    });
    const end = follow(scene.name, { logger, content: true });
    said.push(await failure(query(scene.name, "hi"), "TURN_INTERRUPTED"));
    said.push(scene.supervisor.inspect(), formatInspection(scene.supervisor.inspect()), scene.session.status());
    end();
  }
  expect(said.filter(leaks)).toEqual([]);
  expect(leaks(await readFile(sqlite, "latin1"))).toBe(false);
});

test("Secrets: a key that the API repeats in its refusal shows in no error or log", async () => {
  const said: unknown[] = [];
  const logger = { info: (...line: unknown[]) => said.push(line), warn: (...line: unknown[]) => said.push(line) };
  await using scene = await Scene.open({
    script: (turn) => turn.fail({ status: 400, message: `unknown key ${KEY}`, text: `API Error: unknown key ${KEY}` }),
    session: { apiKey: KEY },
    options: { logger },
  });
  const end = follow(scene.name, { logger, content: true });
  const error = await failure(query(scene.name, "hi"), "TURN_FAILED");
  end();
  expect(error.message).toContain("unknown key [hidden]");
  expect([error, ...said].filter(leaks)).toEqual([]);
});

test("inspect(): hides the values of options that may contain secrets", async () => {
  await using scene = await Scene.open({
    session: {
      apiKey: KEY,
      env: { MY_TOKEN: KEY },
      mcpServers: { tools: { type: "http", url: `http://127.0.0.1:1/${KEY}`, headers: { Authorization: KEY } } },
      agents: { helper: { description: "helps", prompt: KEY } },
      extraArgs: { "some-flag": KEY },
      executableArgs: ["--token", KEY],
      settings: JSON.stringify({ env: { A: KEY } }),
      managedSettings: { env: { A: KEY } },
      sandbox: { network: { allowedDomains: [KEY] } },
    },
  });
  const inspection = scene.supervisor.inspect();
  expect(inspection.children[0]).toMatchObject({
    options: { agents: { value: ["helper"] }, executableArgs: { value: ["[hidden]", "[hidden]"] } },
  });
  expect(
    [inspection, formatInspection(inspection, { options: true }), scene.supervisor, scene.session].filter(leaks),
  ).toEqual([]);
});

test.each([
  ["a URL where an object is needed", { journal: `postgres://user:${KEY}@host/db` }],
  ["the URL of another database", { journal: { postgres: `mysql://user:${KEY}@host/db` } }],
  ["a URL where a path is needed", { journal: { sqlite: `postgres://user:${KEY}@host/db` } }],
  ["a URL as a cluster", { cluster: `postgres://user:${KEY}@host/db` }],
  [
    "a secret that is too short",
    { cluster: { postgres: "postgres://host/db", advertise: `http://${KEY}`, secret: "Zq7Zq7Zq7" } },
  ],
  ["a key where the name of a variable is needed", { defaults: { apiKey: { env: KEY } } }],
  ["arguments that are no list", { defaults: { executableArgs: `--token ${KEY}` } }],
  ["a sandbox that is a text", { defaults: { sandbox: KEY } }],
])("Supervisor.start(): rejects %s without repeating it", async (_, options) => {
  const error = await failure(Supervisor.start([], options as object), "INVALID_OPTIONS");
  expect(leaks(error)).toBe(false);
});

test("CASTELLAN_JOURNAL: rejects a URL without repeating it", async () => {
  const before = process.env["CASTELLAN_JOURNAL"];
  process.env["CASTELLAN_JOURNAL"] = `mysql://user:${KEY}@host/db`;
  try {
    const error: CastellanError = await failure(Supervisor.start([]), "INVALID_OPTIONS");
    expect(leaks(error)).toBe(false);
  } finally {
    process.env["CASTELLAN_JOURNAL"] = before;
  }
});

test("settings.env: is passed in the environment, and not on the command line", async () => {
  await using scene = await Scene.open({
    children: [
      {
        name: unique(),
        settings: { env: { SETTING: KEY }, effortLevel: "low" },
        env: { SETTING: "less", OTHER: "o" },
      },
      { name: unique(), settings: { env: { SETTING: KEY } }, settingSources: ["project"] },
    ],
  });
  const [alone, beside] = scene.fake.processes;
  expect(alone?.env).toMatchObject({ SETTING: KEY, OTHER: "o" });
  expect(leaks(alone?.args)).toBe(false);
  expect(alone?.args.join(" ")).toContain('"effortLevel":"low"');
  // Settings files would override the environment.
  expect(beside?.env["SETTING"]).toBeUndefined();
});

test(`TURN_FAILED: has the class "unknown" when a result's fields are named like properties of Object`, async () => {
  const hostile: object = { is_error: true, subtype: "constructor", terminal_reason: "toString" };
  await using scene = await Scene.open({ script: (turn) => turn.result(hostile) });
  const error = await failure(query(scene.name, "hi"), "TURN_FAILED");
  expect(error.details.class).toBe("unknown");
});

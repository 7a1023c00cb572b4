import { afterEach, expect, test, vi } from "vitest";
import { REFUSED_SDK_OPTIONS, sdkOptionsShape } from "../../src/claude/sdk-options.ts";
import type { SessionOptions } from "../../src/session/options/options.ts";
import { sessionFields } from "../../src/session/options/session-settings.ts";
import { Scene } from "../session-on-fake/scene.ts";

afterEach(() => {
  vi.unstubAllEnvs();
});

/** Every option of Castellan's own, with a value that is recognisable in arguments and messages. */
const OWN = {
  activation: "eager",
  apiKey: "sk-ant-of-its-own",
  approvals: { timeout: 40_000_001 },
  autoMemory: true,
  backgroundTaskTimeout: 40_000_011,
  budget: { usd: 40_000_002, per: "day" },
  idleTimeout: 40_000_003,
  inheritEnv: ["CASTELLAN_FAULTS_*"],
  isolate: false,
  labels: { tenant: "castellan-tenant-of-its-own" },
  mailboxLimit: 40_000_004,
  maxAge: 40_000_005,
  maxMemory: 40_000_006,
  niceness: 11,
  onInterruptedTurn: "retry",
  onMissingConversation: "fresh",
  outputSchema: { type: "object", properties: { answer: { type: "string" } } },
  pinned: true,
  queueTimeout: 40_000_007,
  recordMessages: true,
  requireMcpServers: false,
  restart: "transient",
  shutdown: 40_008,
  signal: new AbortController().signal,
  significant: false,
  stallTimeout: 40_000_009,
  timeout: 40_000_010,
  whenBusy: "interrupt",
} satisfies Partial<SessionOptions>;

test("own options: reach Claude Code neither as a flag nor in the handshake", async () => {
  const sdk = [...Object.keys(sdkOptionsShape), ...Object.keys(REFUSED_SDK_OPTIONS)];
  const own = [...sessionFields].filter((field) => field !== "name" && !sdk.includes(field));
  expect(Object.keys(OWN).sort()).toEqual(own.sort());

  await using scene = await Scene.open({ session: OWN });
  const [process] = scene.fake.processes;
  const flags = process?.args.filter((arg) => arg.startsWith("--")).map((arg) => arg.slice(2).split("=")[0]) ?? [];
  const handshake = Object.keys(process?.initialize ?? {});
  for (const field of own) {
    const kebab = field.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
    expect([...flags, ...handshake], field).not.toContain(kebab);
    expect([...flags, ...handshake], field).not.toContain(field);
  }
  const startup = JSON.stringify([process?.args, process?.initialize]);
  expect(startup).not.toMatch(/4000000\d|40000010|40008|sk-ant-of-its-own|CASTELLAN_FAULTS|tenant-of-its-own/);
  // Without any output the check above would prove nothing.
  expect(startup).toContain("answer");
});

test("the environment of a process: has no variable of the application unless an option names it", async () => {
  vi.stubEnv("DATABASE_URL", "postgres://secret");
  vi.stubEnv("CASTELLAN_FAULTS_TOKEN", "secret too");
  vi.stubEnv("NODE_OPTIONS", "--no-warnings");
  await using scene = await Scene.open();
  const [name, allowed] = [`${scene.name}-2`, "CASTELLAN_FAULTS_TOKEN"];
  await scene.supervisor.startSession({ name, inheritEnv: ["CASTELLAN_FAULTS_*"], env: { OWN: "given" } });
  const [bare, wider] = scene.fake.processes.map(({ env }) => env);
  for (const variable of ["DATABASE_URL", allowed, "NODE_OPTIONS", "VITEST"]) expect(bare?.[variable]).toBeUndefined();
  expect(wider).toMatchObject({ [allowed]: "secret too", OWN: "given" });
  for (const variable of ["DATABASE_URL", "NODE_OPTIONS", "VITEST"]) expect(wider?.[variable]).toBeUndefined();
  expect(bare?.["PATH"]).toBe(process.env["PATH"]);
});

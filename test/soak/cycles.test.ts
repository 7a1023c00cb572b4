import { readdirSync } from "node:fs";
import { expect, it } from "vitest";
import { query, Supervisor } from "../../src/index.ts";
import { mockApi } from "../../src/testing/index.ts";
import { processesWith } from "../real/processes.ts";

const ROUNDS = 20;
const SESSIONS = 10;

/** Returns the open descriptors and the listeners of this process. */
function resources(): { descriptors: number; listeners: number } {
  const listeners = process.eventNames().reduce((sum, event) => sum + process.listenerCount(event), 0);
  return { descriptors: readdirSync("/proc/self/fd").length, listeners };
}

it(`Supervisor: leaves no process, descriptor or listener after ${ROUNDS * SESSIONS} starts and stops`, {
  timeout: 600_000,
}, async () => {
  const api = await mockApi();
  const mark = `CLAUDE_CONFIG_DIR=${api.env["CLAUDE_CONFIG_DIR"]}`;
  const names = Array.from({ length: SESSIONS }, (_, index) => ["cycle", index] as const);
  let before: ReturnType<typeof resources> | undefined;
  for (let round = 0; round < ROUNDS; round++) {
    const supervisor = await Supervisor.start(
      names.map((name) => ({ name })),
      { defaults: { env: api.env, cwd: api.cwd } },
    );
    expect(supervisor.notStarted).toEqual([]);
    await query(["cycle", round % SESSIONS], "hello");
    await supervisor.stop();
    expect(processesWith(mark)).toEqual([]);
    // The first round opens what stays open for the life of the host.
    before ??= resources();
  }
  expect(resources()).toEqual(before);
  await api.stop();
});

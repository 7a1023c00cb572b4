import { randomUUID } from "node:crypto";
import { expect } from "vitest";
import type { ChildOptions } from "../../src/application/options/child-options.ts";
import type { SupervisorOptions } from "../../src/application/options/supervisor-options.ts";
import { Supervisor } from "../../src/application/supervisor.ts";
import { type Clock, systemClock } from "../../src/clock.ts";
import type { Journal } from "../../src/journal/model/journal.ts";
import type { FakeClaude } from "../../src/testing/index.ts";

/** Starts an application: a supervisor over a journal and a fake that consecutive runs share. */
export async function run(
  { fake, journal, clock = systemClock }: { fake: FakeClaude; journal: Journal; clock?: Clock },
  children: readonly ChildOptions[],
  { defaults, ...options }: SupervisorOptions = {},
): Promise<Supervisor> {
  return await Supervisor.startWith(
    children,
    {
      name: "application",
      journal,
      logger: { info: () => {}, warn: () => {} },
      ...options,
      defaults: { spawnClaudeCodeProcess: fake.spawn, ...defaults },
    },
    { clock, newId: randomUUID, random: () => 0.5 },
  );
}

/** Returns what the model remembers of a conversation, as `user: …` and `assistant: …`. */
export function said(fake: FakeClaude, conversationId: string): string[] {
  return fake.transcript(conversationId).map(({ role, text }) => `${role}: ${text}`);
}

/** Expects no running process and no error of the fake's script. */
export function expectNothingLeft(fake: FakeClaude): void {
  expect(fake.running, "processes after the supervisor's stop").toEqual([]);
  expect(fake.errors, "errors of the fake's script").toEqual([]);
}

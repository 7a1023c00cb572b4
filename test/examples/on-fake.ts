import type { SupervisorOptions } from "castellan";
import { type FakeClaude, type FakeClaudeOptions, type FakeScript, fakeClaude } from "castellan/testing";
import { expect, onTestFinished } from "vitest";

/** A fake Claude, and options of a supervisor that make its sessions use it. Looks after the test that nothing was left. */
export function onFake(
  script?: FakeScript,
  options?: FakeClaudeOptions,
): { fake: FakeClaude; options: SupervisorOptions } {
  const fake = fakeClaude(script, options);
  onTestFinished(() => {
    expect(fake.running, "processes that outlived their supervisor").toEqual([]);
    expect(fake.errors, "errors of the fake's script").toEqual([]);
  });
  const silent = { info: () => {}, warn: () => {} };
  return { fake, options: { defaults: { spawnClaudeCodeProcess: fake.spawn }, logger: silent } };
}

import type { SupervisorOptions } from "castellan";
import { type FakeClaude, type FakeClaudeOptions, type FakeScript, fakeClaude } from "castellan/testing";
import { expect, onTestFinished } from "vitest";

/**
 * Returns a fake Claude, and supervisor options that use it. Fails the test if it leaves processes or script errors.
 */
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

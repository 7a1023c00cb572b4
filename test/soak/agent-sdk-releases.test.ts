import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { KNOWN_DIFFERENCES } from "../sdk-releases/known-differences.ts";
import { fileOf, type Outcome } from "../sdk-releases/outcome.ts";
import { testedReleases } from "../sdk-releases/published.ts";
import { SdkCheckout } from "../sdk-releases/sdk-checkout.ts";
import { findings } from "../sdk-releases/verdict.ts";

const releases = await testedReleases();

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "castellan-sdk-"));
});

afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

/** Returns the outcomes of all tests. Runs files with a finding again, since a busy machine fails tests of any release. */
async function outcomesOn(checkout: SdkCheckout, release: string, signal: AbortSignal): Promise<readonly Outcome[]> {
  const first = await checkout.test(signal);
  const files = new Set(findings(release, first, KNOWN_DIFFERENCES).map(fileOf).filter(isTestFile));
  const doubtful = first.filter((outcome) => files.has(fileOf(outcome)));
  if (doubtful.length === 0) return first;
  console.log(`Agent SDK ${release}: runs again: ${[...files].join(", ")}`);
  const second = await checkout.test(signal, [...files]);
  return [...first.filter((outcome) => !doubtful.includes(outcome)), ...second];
}

function isTestFile(file: string): boolean {
  return file.endsWith(".test.ts");
}

describe.each(releases)("Agent SDK %s", (release) => {
  test("has the facts that Castellan relies on, except for known differences", async ({ signal }) => {
    const since = performance.now();
    await using checkout = await SdkCheckout.in(folder, release);
    const outcomes = await outcomesOn(checkout, release, signal);
    const count = (wanted: Outcome["state"]): number => outcomes.filter(({ state }) => state === wanted).length;
    const seconds = Math.round((performance.now() - since) / 1_000);
    console.log(
      `Agent SDK ${release}: ${count("passed")} passed, ${count("failed")} failed, ${count("skipped")} skipped, ${seconds} s`,
    );
    const found = findings(release, outcomes, KNOWN_DIFFERENCES);
    expect(found.map(({ message }) => message).join("\n\n")).toBe("");
  }, 1_800_000);
});

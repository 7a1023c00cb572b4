import { expect, test } from "vitest";
import { nodeProblem } from "../src/node-release.ts";

test("nodeProblem: accepts releases from 24 on, and rejects older ones", () => {
  for (const version of ["24.0.0", "24.21.0", "25.0.0-nightly20260101", "100.1.0"])
    expect(nodeProblem(version)).toBeUndefined();
  for (const version of ["23.11.1", "22.12.0", "20.20.2", "4.9.1"])
    expect(nodeProblem(version)).toBe(
      `Castellan needs Node.js 24 or newer, and this is ${version}; install Node.js 24`,
    );
});

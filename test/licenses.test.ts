import { expect, test } from "vitest";
import { bundledLicenseFault, installedLicenseFault } from "../scripts/license-rules.ts";
import { installedPaths, nameAt } from "../scripts/locked-packages.ts";

test.for(["MIT", "(MIT OR Apache-2.0)", "Apache-2.0 AND BSD-3-Clause", "ISC"])(
  "bundledLicenseFault: allows %s",
  (license) => {
    expect(bundledLicenseFault("some", license)).toBeUndefined();
  },
);

test.for([
  ["GPL-3.0-only", "GPL-3.0-only"],
  ["(MIT OR GPL-2.0-or-later)", "GPL-2.0-or-later"],
  ["MIT AND (MPL-2.0 OR LGPL-3.0-or-later)", "MPL-2.0, LGPL-3.0-or-later"],
  ["Apache-2.0 WITH LLVM-exception", "Apache-2.0 WITH LLVM-exception"],
  ["SEE LICENSE IN LICENSE.md", "SEE LICENSE IN LICENSE.md"],
  ["UNLICENSED", "UNLICENSED"],
])("bundledLicenseFault: refuses %s, and names what is not allowed", ([license = "", refused]) => {
  expect(bundledLicenseFault("some", license)).toBe(
    `the package some has the license ${license}; scripts/license-rules.ts does not allow ${refused}`,
  );
});

test("bundledLicenseFault: refuses a package without a license", () => {
  expect(bundledLicenseFault("some", undefined)).toBe("the package some names no license");
});

test("installedLicenseFault: accepts the terms of the Agent SDK, which must not be in the bundle", () => {
  for (const name of ["@anthropic-ai/claude-agent-sdk", "@anthropic-ai/claude-agent-sdk-linux-x64-musl"]) {
    expect(installedLicenseFault(name, "SEE LICENSE IN README.md")).toBeUndefined();
    expect(bundledLicenseFault(name, "SEE LICENSE IN README.md")).toContain("does not allow");
  }
  expect(installedLicenseFault("@anthropic-ai/other", "SEE LICENSE IN README.md")).toContain("does not allow");
  expect(installedLicenseFault("some", "GPL-3.0-only")).toContain("does not allow GPL-3.0-only");
});

test("installedPaths: follows dependencies and peers to the version that Node.js loads", () => {
  const packages = {
    "": {
      dependencies: { a: "1" },
      peerDependencies: { p: "1", q: "1" },
      peerDependenciesMeta: { q: { optional: true } },
    },
    "node_modules/a": { dependencies: { b: "2", "@s/c": "1" }, optionalDependencies: { absent: "1", native: "1" } },
    "node_modules/a/node_modules/b": { dependencies: { "@s/c": "1", a: "1" } },
    "node_modules/a/node_modules/b/node_modules/@s/c": {},
    "node_modules/@s/c": {},
    "node_modules/b": {},
    "node_modules/dev": {},
    "node_modules/native": {},
    "node_modules/p": { peerDependencies: { b: "1", dev: "1" }, peerDependenciesMeta: { dev: { optional: true } } },
    "node_modules/q": {},
  };
  expect([...installedPaths(packages)].toSorted()).toEqual([
    "node_modules/@s/c",
    "node_modules/a",
    "node_modules/a/node_modules/b",
    "node_modules/a/node_modules/b/node_modules/@s/c",
    "node_modules/b",
    "node_modules/native",
    "node_modules/p",
    "node_modules/q",
  ]);
});

test("installedPaths: fails when the lock file lacks a package", () => {
  const packages = { "": { dependencies: { a: "1" } }, "node_modules/a": { dependencies: { b: "1" } } };
  expect(() => installedPaths(packages)).toThrow("package-lock.json lacks b, which a needs");
});

test("nameAt: takes the name of an alias from the lock file, and others from the path", () => {
  const packages = { "node_modules/old": { name: "new" }, "node_modules/a/node_modules/@s/c": {} };
  expect(Object.keys(packages).map((path) => nameAt(packages, path))).toEqual(["new", "@s/c"]);
});

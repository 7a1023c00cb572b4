import { readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { ROOT } from "../../scripts/guide.ts";
import { loadConfig } from "../../src/config/load-config.ts";
import { isGlobalName } from "../../src/session/options/global-name.ts";
import { deployFile } from "./deploy-file.ts";

let cwd: string;

// A copy, since Node itself imports the file and cannot resolve the package's name to the sources.
beforeEach(async () => {
  cwd = await mkdtemp(join(tmpdir(), "castellan-deploy-"));
  const sources = JSON.stringify(pathToFileURL(join(ROOT, "src/index.ts")).href);
  await writeFile(
    join(cwd, "castellan.config.ts"),
    deployFile("app/castellan.config.ts").replace('"castellan"', sources),
  );
});

afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(cwd, { recursive: true });
});

test("deploy/app/castellan.config.ts: is one host with a journal in the working directory", async () => {
  vi.stubEnv("DATABASE_URL", undefined);
  const { children, options } = await loadConfig({ cwd });
  expect(children).toMatchObject([{ template: "support" }]);
  expect(options).toMatchObject({
    journal: { sqlite: ".castellan/castellan.db", waitForOwner: "2m" },
    capacity: { maxProcesses: 8 },
  });
  expect(options.cluster).toBeUndefined();
});

test("deploy/app/castellan.config.ts: is a node of a cluster if there is a database", async () => {
  vi.stubEnv("DATABASE_URL", "postgres://db/app");
  await expect(loadConfig({ cwd })).rejects.toThrow("CLUSTER_SECRET is not set");
  for (const name of ["CLUSTER_SECRET", "NODE_NAME", "ADVERTISE"]) vi.stubEnv(name, name.toLowerCase());
  vi.stubEnv("MAX_PROCESSES", "3");
  const { children, options } = await loadConfig({ cwd });
  expect(children.map((child) => "template" in child && isGlobalName(child.template))).toEqual([true]);
  expect(options).toMatchObject({
    journal: "memory",
    cluster: { postgres: "postgres://db/app", notifications: false, name: "node_name", maxProcesses: 3 },
  });
});

test("deploy/app/package.json: depends on this release, and on the peers that the image needs, in the ranges of the package", () => {
  const { dependencies } = JSON.parse(deployFile("app/package.json"));
  const { version, peerDependencies } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"));
  const { castellan, ...peers } = dependencies;
  expect(castellan).toBe(`^${version}`);
  expect(Object.keys(peers)).toEqual(expect.arrayContaining(["@opentelemetry/exporter-prometheus", "pg"]));
  for (const [name, range] of Object.entries(peers))
    expect({ [name]: peerDependencies[name] }).toEqual({ [name]: range });
});

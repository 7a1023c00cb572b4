import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished } from "vitest";
import type { ClusterOptions } from "../../src/index.ts";
import { type MockApi, mockApi } from "../../src/testing/index.ts";
import { RealCluster, type RealClusterOptions } from "../cluster/real-cluster.ts";
import type { PostgresServer } from "../journal/postgres-server.ts";
import { ClusterModel } from "./cluster-model.ts";
import { faultsIn } from "./cluster-verdict.ts";

/** Short enough for a quick test, and long enough for a busy machine. */
const SPANS = { beat: "300ms", staleAfter: "2s", margin: "500ms", patience: "30s" } as const;

export interface Scene extends AsyncDisposable {
  readonly cluster: RealCluster;
  readonly model: ClusterModel;
  readonly api: MockApi;
  /** A directory that all nodes can read. */
  readonly folder: string;
}

/** Starts nodes with these names on the real Claude Code, a client, and the model. */
export async function scene(
  server: PostgresServer,
  names: readonly string[] = ["one", "two", "three"],
  { cluster: own, ...options }: Partial<RealClusterOptions> = {},
): Promise<Scene> {
  const api = await mockApi();
  const folder = await mkdtemp(join(tmpdir(), "castellan-appended-"));
  const model = new ClusterModel(api, join(folder, "appended"));
  onTestFinished(async () => {
    model.close();
    await api.stop();
    await rm(folder, { recursive: true, force: true });
  });
  const spans: Partial<ClusterOptions> = { ...SPANS, ...own };
  const cluster = await RealCluster.start(
    { server, claude: "real", env: api.env, cluster: spans, ...options },
    ...names,
  );
  onTestFinished(() => cluster[Symbol.asyncDispose]());
  return { cluster, model, api, folder, [Symbol.asyncDispose]: () => cluster[Symbol.asyncDispose]() };
}

/** Ends the cluster and expects no violation. */
export async function expectNoFaults({ cluster, model }: Scene): Promise<void> {
  expect(await faultsIn(cluster, model)).toEqual([]);
}

/** Polls until the condition is true. */
export async function becomes(what: () => unknown, timeout = 30_000): Promise<void> {
  await expect.poll(what, { interval: 20, timeout }).toBe(true);
}

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { CastellanApiError, CastellanClient } from "../../src/client/index.ts";
import { CastellanError } from "../../src/errors.ts";
import { mockApi } from "../../src/testing/index.ts";
import { PostgresServer } from "../journal/postgres-server.ts";
import { ClusterModel } from "./cluster-model.ts";
import { becomes } from "./cluster-scene.ts";
import { faultsIn } from "./cluster-verdict.ts";
import { Deployment } from "./deployment.ts";
import type { Pod } from "./pod.ts";

/* Kubernetes is simulated: pods are processes, and the test probes, terminates and kills them by its rules. */

let server: PostgresServer;

beforeAll(async () => {
  server = await PostgresServer.start();
});

afterAll(async () => {
  await server?.remove();
});

interface End {
  readonly key: string;
  readonly text?: string;
  readonly code?: string;
  readonly message?: string;
  readonly ms: number;
}

const sessions = ["s0", "s1", "s2", "s3"];

test("a deployment of three pods is updated, drained, killed for its memory, and loses a zone: no turn is lost or repeated", {
  timeout: 300_000,
}, async () => {
  const api = await mockApi();
  const folder = await mkdtemp(join(tmpdir(), "castellan-appended-"));
  const model = new ClusterModel(api, join(folder, "appended"));
  onTestFinished(async () => {
    model.close();
    await api.stop();
    await rm(folder, { recursive: true, force: true });
  });
  await using deployment = await Deployment.start(server, api.env);
  await Promise.all([deployment.add("app-1", "a"), deployment.add("app-2", "b"), deployment.add("app-3", "c")]);

  const ends: End[] = [];
  let stopping = false;
  const client = new CastellanClient({ url: deployment.service.url, retries: 8, timeout: 15_000, streamIdle: 20_000 });
  const end = async (key: string, result: Promise<{ readonly text: string }>): Promise<void> => {
    const since = performance.now();
    const outcome = await result.then(
      ({ text }) => ({ text }),
      (error: unknown) => ({ code: codeOf(error), message: String(error) }),
    );
    ends.push({ key, ms: Math.round(performance.now() - since), ...outcome });
  };
  const callers = sessions.map(async (name) => {
    const session = client.session({ global: ["chat", name] });
    for (let n = 1; !stopping; n++) {
      const key = `${name}n${n}`;
      await Promise.all([end(`${key}q`, session.query(`append ${key}q`)), end(key, session.query(`say ${key}`))]);
    }
  });
  const table: Record<string, object> = {};
  /** Runs turns before, during and after what happens. */
  const during = async (what: string, happens: () => Promise<void>): Promise<readonly End[]> => {
    await running();
    const from = ends.length;
    await happens();
    await running();
    const own = ends.slice(from);
    const failed = own.flatMap(({ code }) => code ?? []);
    table[what] = { turns: own.length, failed, slowestMs: Math.max(...own.map(({ ms }) => ms)) };
    return own;
  };
  /** Waits until each session has ended the turns that it has now, and two more. */
  const running = async (): Promise<void> => {
    const from = ends.length;
    const ofEach = (): readonly number[] =>
      sessions.map((session) => ends.slice(from).filter(({ key }) => key.startsWith(session)).length);
    await becomes(() => ofEach().every((turns) => turns >= 4), 60_000);
  };

  // A rolling update: one more pod, and then one less.
  const updated = await during("a rolling update of three", async () => {
    for (const [at, old] of [...deployment.pods].entries()) {
      await deployment.add(`app-${at + 4}`, old.zone);
      expect(await deployment.evict(old)).toBe(true);
      await becomes(() => old.processes.length === 0);
    }
  });
  expect(updated.filter(({ code }) => code !== undefined)).toEqual([]);

  // A machine is drained: its pod starts elsewhere once it has ended here.
  const drained = await during("a machine drained", async () => {
    const [old] = deployment.pods as readonly [Pod];
    expect(await deployment.evict(old)).toBe(true);
    await deployment.add("app-7", old.zone);
  });
  expect(drained.filter(({ code }) => code !== undefined)).toEqual([]);

  // The kernel kills a pod for its memory, with the turns that it runs.
  const killed = await during("a pod killed for its memory", async () => {
    await deployment.kill(await busiest(deployment));
    await deployment.add("app-8", "a");
  });
  expectInterruptedOnly(killed);

  // A zone is cut off. Its pod gives its sessions up by itself, and takes part again afterwards.
  const cut = await during("a zone cut off", async () => {
    const pod = await busiest(deployment);
    expect(pod.claudes).not.toEqual([]);
    pod.cut();
    await becomes(async () => (await ownersOf(deployment)).every((owner) => owner !== pod.name));
    await running();
    await becomes(() => pod.claudes.length === 0);
    pod.restore();
    await becomes(() => pod.isReady);
  });
  expectInterruptedOnly(cut);

  stopping = true;
  await Promise.all(callers);
  console.table(table);
  expect(deployment.all.map(({ restarts }) => restarts)).toEqual(deployment.all.map(() => 0));
  // Each command ran once.
  expect(model.appended.length).toBe(new Set(model.appended).size);
  expect(await faultsIn(deployment, model)).toEqual([]);
});

/** Of the pod that was lost, at most the running turn of each session may be interrupted, and none may fail otherwise. */
function expectInterruptedOnly(ends: readonly End[]): void {
  const codes = ends.flatMap(({ code }) => code ?? []);
  expect(codes.filter((code) => code !== "TURN_INTERRUPTED")).toEqual([]);
  expect(codes.length).toBeLessThanOrEqual(sessions.length);
}

function codeOf(error: unknown): string {
  return error instanceof CastellanApiError || CastellanError.is(error) ? error.code : String(error);
}

async function ownersOf(deployment: Deployment): Promise<readonly (string | undefined)[]> {
  return (await deployment.client.listSessions()).map(({ node }) => node);
}

/** Returns the pod that has the most sessions. */
async function busiest(deployment: Deployment): Promise<Pod> {
  const owners = await ownersOf(deployment);
  const count = ({ name }: Pod): number => owners.filter((owner) => owner === name).length;
  const [first] = deployment.pods.toSorted((one, other) => count(other) - count(one));
  if (first === undefined || count(first) === 0) throw new Error("No pod has a session.");
  return first;
}

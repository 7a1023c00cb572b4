import { connect as connectSecurely } from "node:tls";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { CertificateAuthority, hasOpenssl, replace } from "../cluster/certificates.ts";
import { RealCluster, type RealClusterOptions } from "../cluster/real-cluster.ts";
import type { RealNode } from "../cluster/real-node.ts";
import { PostgresServer } from "../journal/postgres-server.ts";
import { becomes } from "./cluster-scene.ts";

/* Nodes in processes of their own: their certificates, and their clocks. */

let server: PostgresServer;

beforeAll(async () => {
  server = await PostgresServer.start();
});

afterAll(async () => {
  await server?.remove();
});

const SPANS = { beat: "500ms", staleAfter: "10s", margin: "1s", patience: "8s" } as const;

async function started(options: Partial<RealClusterOptions>, ...names: readonly string[]): Promise<RealCluster> {
  const cluster = await RealCluster.start(
    { server, claude: "fake", ...options, cluster: { ...SPANS, ...options.cluster } },
    ...names,
  );
  onTestFinished(() => cluster[Symbol.asyncDispose]());
  return cluster;
}

/** Moves a session to each of these nodes, which has the node's name. */
async function spread(cluster: RealCluster, ...nodes: readonly string[]): Promise<void> {
  for (const node of nodes) {
    await cluster.client.query(cluster.nameOf("chat", node), "hello");
    await cluster.client.move(cluster.nameOf("chat", node), node);
  }
}

/** Returns the serial number of the certificate that a node shows. */
async function serialOf(node: RealNode): Promise<string | undefined> {
  const { promise, resolve } = Promise.withResolvers<string | undefined>();
  const socket = connectSecurely({ port: node.fromOthers.port, host: "127.0.0.1", rejectUnauthorized: false }, () => {
    resolve(socket.getPeerX509Certificate()?.serialNumber);
    socket.destroy();
  });
  socket.on("error", () => resolve(undefined));
  return await promise;
}

describe.skipIf(!hasOpenssl())("nodes with certificates", () => {
  test("answer each other while certificates and authorities are replaced, without a restart", {
    timeout: 120_000,
  }, async () => {
    await using authority = await CertificateAuthority.create();
    const tls = await authority.issue();
    const cluster = await started({ cluster: { tls } }, "one", "two");
    await spread(cluster, "one", "two");
    const [one, two] = [cluster.node("one"), cluster.node("two")];
    const before = await Promise.all([one, two].map(serialOf));
    let answered = 0;
    const failed: unknown[] = [];
    const over = new AbortController();
    const asking = [
      (prompt: string) => one.query(["chat", "two"], prompt),
      (prompt: string) => two.query(["chat", "one"], prompt),
      async (prompt: string) => (await cluster.client.query(cluster.nameOf("chat", "one"), prompt)).text,
    ].map(async (ask, by) => {
      for (let number = 0; !over.signal.aborted; number++) {
        await ask(`${by} ${number}`).then(
          () => answered++,
          (error: unknown) => failed.push(error),
        );
      }
    });
    await replace(tls, await authority.issue());
    await expect
      .poll(async () => (await serialOf(one)) !== before[0] && (await serialOf(two)) !== before[1], {
        timeout: 40_000,
        interval: 200,
      })
      .toBe(true);
    const soFar = answered;
    await expect.poll(() => answered > soFar + 20, { timeout: 20_000 }).toBe(true);
    over.abort();
    await Promise.all(asking);
    expect(failed).toEqual([]);
    expect([...one.warnings, ...two.warnings].filter((line) => /tls|TLS|certificate/.test(line))).toEqual([]);
  });

  test("and nodes without do not talk, and both say why", { timeout: 120_000 }, async () => {
    await using authority = await CertificateAuthority.create();
    const cluster = await started({}, "plain");
    await cluster.join("secure", { tls: await authority.issue() });
    const [plain, secure] = [cluster.node("plain"), cluster.node("secure")];
    expect(await plain.query(["chat", "a"], "hi")).toContain("hi");
    const owner = await cluster.ownerOf("chat", "a");
    const other = owner === "plain" ? secure : plain;
    const why =
      /has no TLS, and this machine|has a certificate that is not issued by an authority that this machine trusts/;
    await expect(other.query(["chat", "a"], "hi")).rejects.toMatchObject({
      code: "CLUSTER_UNAVAILABLE",
      message: expect.stringMatching(why),
    });
  });
});

describe("a node whose clock is wrong", () => {
  test.each([
    [600_000, "10m ahead of"],
    [-600_000, "10m behind"],
  ])("by %d ms says so, is told so, and keeps its sessions", { timeout: 120_000 }, async (clockAheadMs, words) => {
    const cluster = await started({}, "one");
    const one = cluster.node("one");
    expect(await one.query(["chat", "a"], "hi")).toContain("hi");
    const wrong = await cluster.join("wrong", {}, { clockAheadMs });
    const told = `the clock of this machine is ${words} the database's, and 15s are allowed`;
    await becomes(() => wrong.warnings.some((line) => line.includes(told)));
    await becomes(async () => {
      const nodes = await cluster.client.nodes();
      const ahead = (name: string): number => nodes.find((node) => node.name === name)?.report?.clockAheadMs ?? 0;
      return Math.abs(ahead("wrong") - clockAheadMs) < 2_000 && Math.abs(ahead("one")) < 2_000;
    });
    const { ready, reasons } = await wrong.look();
    expect([ready, reasons.join()]).toEqual([true, expect.stringContaining(words)]);
    await expect(wrong.query(["chat", "a"], "hi")).rejects.toMatchObject({
      code: "CLUSTER_UNAVAILABLE",
      message: expect.stringContaining(`the clock of this machine is ${words} that of the node, and 30s are allowed`),
    });
    expect(one.warnings.join()).toContain(`its clock is ${words} that of this node`);
    // Neither took the other for dead: leases count by the database's clock.
    expect([...one.warnings, ...wrong.warnings].filter((line) => /renew|declared dead/.test(line))).toEqual([]);
    expect((await cluster.client.nodes()).map(({ state }) => state)).toEqual(["alive", "alive"]);
  });
});

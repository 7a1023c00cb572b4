import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { askProbe } from "../../src/cli/connection/probe.ts";
import { listen } from "../../src/server/listen.ts";
import { ServerScene } from "../server/scene.ts";
import { castellan } from "./command-line.ts";
import { runHere, served } from "./served.ts";

/** A server that answers every request with this status, or never. */
async function answering(status: number | undefined): Promise<string> {
  const server = createServer((_, response) => {
    if (status !== undefined) response.writeHead(status).end();
  }).listen(0, "127.0.0.1");
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  await once(server, "listening");
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

test("castellan health --probe: succeeds without a token, through the address or the socket", async () => {
  await using scene = await ServerScene.start();
  await scene.tokens.create();
  const socket = join(scene.folder, "server.sock");
  await using server = await listen(scene.supervisor, { tokens: scene.tokens, socket });
  const { folder: cwd } = scene;
  for (const url of [server.url, `unix:${socket}`]) {
    const text = await castellan(["health", "--probe", "readyz", "--url", url], { cwd });
    expect(text).toMatchObject({ code: 0, stdout: "readyz: ok\n", stderr: "" });
  }
  const json = await castellan(["health", "--probe", "livez", "--url", server.url, "--json"], { cwd });
  expect(json).toMatchObject({ code: 0, stdout: '{"probe":"livez","ok":true}\n' });
  // The report itself needs one.
  expect((await castellan(["health", "--url", server.url], { cwd })).code).toBe(4);
});

test("castellan health --probe: a server that is about to end is alive, and not ready", async () => {
  const { run, scene } = await served([{ name: "a" }]);
  await scene.supervisor.stop();
  expect(await run("health", "--probe", "livez")).toMatchObject({ code: 0 });
  expect(await run("health", "--probe", "readyz")).toMatchObject({
    code: 1,
    stdout: "",
    stderr: expect.stringContaining("takes no work"),
  });
});

test("castellan health --probe: tells a server that is gone, or that is none of Castellan's, from a failed probe", async () => {
  const gone = await runHere(["health", "--probe", "livez"], "http://127.0.0.1:1");
  expect(gone).toMatchObject({ code: 3, stderr: expect.stringMatching(/does not answer: .*(ECONNREFUSED|bad port)/) });
  const other = await runHere(["health", "--probe", "livez"], await answering(404));
  expect(other).toMatchObject({ code: 1, stderr: expect.stringContaining("/livez answers 404") });
  const unknown = await runHere(["health", "--probe", "healthz"], await answering(200));
  expect(unknown).toMatchObject({ code: 2, stderr: expect.stringContaining("livez, readyz") });
});

test("askProbe(): gives up on a server whose event loop hangs", async () => {
  await expect(askProbe("livez", { url: await answering(undefined) }, 50)).rejects.toMatchObject({
    code: "NO_SERVER",
    message: "The server does not answer within 0.05 s.",
  });
});

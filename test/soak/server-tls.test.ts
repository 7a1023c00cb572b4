import { execFile, execFileSync } from "node:child_process";
import { once } from "node:events";
import { readFile, writeFile } from "node:fs/promises";
import { createServer, request } from "node:https";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { connect } from "node:tls";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { CertificateRenewal, readCertificate } from "../../src/server/certificate.ts";
import { listen } from "../../src/server/listen.ts";
import { ServerScene } from "../server/scene.ts";
import { eventually } from "../session-on-fake/scene.ts";
import { SimulatedClock } from "../supervision/simulated-clock.ts";

test.skipIf(!hasOpenssl())("listen: serves HTTPS with a certificate and its key", async () => {
  await using scene = await ServerScene.start();
  const files = pathsIn(scene.folder);
  await makeCertificate(files);
  const { cert } = files;
  await using server = await listen(scene.supervisor, { tokens: false, tls: files });
  expect(server.url).toMatch(/^https:/);
  const ca = await readFile(cert);
  expect(await statusOf(`${server.url}/livez`, ca)).toBe(200);
  await expect(statusOf(`${server.url}/livez`)).rejects.toMatchObject({ code: "DEPTH_ZERO_SELF_SIGNED_CERT" });
  await expect(listen(scene.supervisor, { tokens: false, tls: { cert, key: cert } })).rejects.toMatchObject({
    code: "INVALID_OPTIONS",
  });
});

test.skipIf(!hasOpenssl())(
  "listen: closes HTTPS without waiting for a connection that has sent no request",
  async () => {
    await using scene = await ServerScene.start();
    const files = pathsIn(scene.folder);
    await makeCertificate(files);
    const server = await listen(scene.supervisor, { tokens: false, tls: files });
    const { port } = new URL(server.url);
    const silent = connect({ host: "127.0.0.1", port: Number(port), rejectUnauthorized: false });
    const gone = once(silent.resume(), "close");
    await once(silent, "secureConnect");
    expect(await statusOf(`${server.url}/livez`, await readFile(files.cert))).toBe(200);
    const since = performance.now();
    await Promise.all([server.close({ deadline: "1m" }), gone]);
    expect(performance.now() - since).toBeLessThan(5_000);
  },
);

test.skipIf(!hasOpenssl())(
  "CertificateRenewal: gives new connections a renewed certificate, and keeps a broken one out",
  async () => {
    await using scene = await ServerScene.start();
    const files = pathsIn(scene.folder);
    await makeCertificate(files);
    const [clock, log] = [new SimulatedClock(), [] as string[]];
    const first = await readCertificate(files);
    const server = createServer({ ...first }, (_, answer) => answer.end());
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    const url = `https://127.0.0.1:${port}/`;
    const told = (line: string): void => void log.push(line);
    const renewal = new CertificateRenewal(clock, files, first, (now) => server.setSecureContext(now), {
      info: told,
      warn: told,
    });
    await writeFile(files.cert, "no certificate");
    await clock.advance(60_000);
    await eventually(() => log.length === 1);
    expect(log[0]).toMatch(/^The server keeps its certificate: /);
    expect(await statusOf(url, first.cert)).toBe(200);
    await clock.advance(60_000);
    await eventually(() => clock.timers === 1);
    await makeCertificate(files);
    const second = await readFile(files.cert);
    await clock.advance(60_000);
    await eventually(() => log.length === 2);
    expect(log[1]).toBe("The server has a renewed certificate.");
    expect(await statusOf(url, second)).toBe(200);
    await expect(statusOf(url, first.cert)).rejects.toMatchObject({ code: "DEPTH_ZERO_SELF_SIGNED_CERT" });
    renewal[Symbol.dispose]();
    expect(clock.timers).toBe(0);
    server.close();
  },
);

function pathsIn(folder: string): { readonly cert: string; readonly key: string } {
  return { cert: join(folder, "cert.pem"), key: join(folder, "key.pem") };
}

async function makeCertificate({ cert, key }: { readonly cert: string; readonly key: string }): Promise<void> {
  const kind = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"];
  const subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"];
  await promisify(execFile)("openssl", [...kind, ...subject, "-keyout", key, "-out", cert]);
}

async function statusOf(url: string, ca?: Buffer): Promise<number | undefined> {
  const { promise, resolve, reject } = Promise.withResolvers<number | undefined>();
  const asking = request(url, { agent: false, ...(ca !== undefined && { ca }) }, (answer) => {
    answer.resume();
    resolve(answer.statusCode);
  });
  asking.once("error", reject);
  asking.end();
  return await promise;
}

function hasOpenssl(): boolean {
  try {
    execFileSync("openssl", ["version"]);
    return true;
  } catch {
    return false;
  }
}

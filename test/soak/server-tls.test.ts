import { execFile, execFileSync } from "node:child_process";
import { readFile } from "node:fs/promises";
import { request } from "node:https";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { listen } from "../../src/server/listen.ts";
import { ServerScene } from "../server/scene.ts";

test.skipIf(!hasOpenssl())("listen: serves HTTPS with a certificate and its key", async () => {
  await using scene = await ServerScene.start();
  const [cert, key] = [join(scene.folder, "cert.pem"), join(scene.folder, "key.pem")];
  const subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"];
  const files = ["-keyout", key, "-out", cert];
  await promisify(execFile)("openssl", [
    "req",
    "-x509",
    "-newkey",
    "rsa:2048",
    "-nodes",
    "-days",
    "2",
    ...subject,
    ...files,
  ]);
  await using server = await listen(scene.supervisor, { tokens: false, tls: { cert, key } });
  expect(server.url).toMatch(/^https:/);
  const ca = await readFile(cert);
  expect(await statusOf(`${server.url}/livez`, ca)).toBe(200);
  await expect(statusOf(`${server.url}/livez`)).rejects.toMatchObject({ code: "DEPTH_ZERO_SELF_SIGNED_CERT" });
  await expect(listen(scene.supervisor, { tokens: false, tls: { cert, key: cert } })).rejects.toMatchObject({
    code: "INVALID_OPTIONS",
  });
});

async function statusOf(url: string, ca?: Buffer): Promise<number | undefined> {
  const { promise, resolve, reject } = Promise.withResolvers<number | undefined>();
  const asking = request(url, ca === undefined ? {} : { ca }, (answer) => {
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

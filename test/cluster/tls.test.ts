import { X509Certificate } from "node:crypto";
import { once } from "node:events";
import { copyFile, readFile, writeFile } from "node:fs/promises";
import { Agent } from "node:https";
import { connect as connectPlain } from "node:net";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { connect, TLSSocket } from "node:tls";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { systemClock } from "../../src/clock.ts";
import { Refused } from "../../src/cluster/http/http-refusal.ts";
import { TlsCredentials, type TlsIdentity } from "../../src/cluster/http/tls-credentials.ts";
import { peerFault } from "../../src/cluster/http/tls-fault.ts";
import { isProblem, readTlsFiles, type TlsPaths, tlsProblem } from "../../src/cluster/http/tls-files.ts";
import type { Destination } from "../../src/cluster/protocol/transport.ts";
import { eventually } from "../session-on-fake/scene.ts";
import { SetClock } from "../set-clock.ts";
import { CertificateAuthority, hasOpenssl, replace } from "./certificates.ts";
import { at, CALL, Channel, HttpScene, messagesFrame, TURN } from "./http-scene.ts";

const never = new AbortController().signal;
const ANSWER = { type: "answer", value: null } as const;

let authority: CertificateAuthority;
let foreign: CertificateAuthority;
let good: TlsPaths;

const withOpenssl = describe.skipIf(!hasOpenssl());

beforeAll(async () => {
  if (!hasOpenssl()) return;
  [authority, foreign] = await Promise.all([
    CertificateAuthority.create(),
    CertificateAuthority.create("another authority"),
  ]);
  good = await authority.issue();
});

afterAll(async () => {
  await authority?.[Symbol.asyncDispose]();
  await foreign?.[Symbol.asyncDispose]();
});

/** Uses files without looking whether other nodes would refuse them. */
function unchecked(paths: TlsPaths): TlsIdentity {
  const files = readTlsFiles(paths);
  if (isProblem(files)) throw new Error(files.message);
  const agent = (): Agent => new Agent(files);
  return { context: files, version: files, agent, onRenewed: () => () => {} };
}

function opened(paths: TlsPaths, clock = systemClock, told: string[] = []): TlsCredentials {
  const warn = (message: string): void => void told.push(message);
  const tls = new TlsCredentials(paths, { clock, warn, what: "supervisor", at: "cluster." });
  onTestFinished(() => tls[Symbol.dispose]());
  return tls;
}

function secure(port: number): Destination {
  return at(port, { address: `https://127.0.0.1:${port}` });
}

async function refusal(promise: Promise<unknown>): Promise<Refused> {
  const error: unknown = await promise.then(
    (value) => new Error(`resolved with ${JSON.stringify(value)}`),
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof Refused)) throw error;
  return error;
}

withOpenssl("tlsProblem", () => {
  const problem = (paths: TlsPaths, use: Partial<Parameters<typeof tlsProblem>[1]> = {}) => {
    const files = readTlsFiles(paths);
    return isProblem(files) ? files : tlsProblem(files, { now: Date.now() + 2_000, host: "127.0.0.1", ...use });
  };

  test("finds nothing wrong with a certificate for the host or the name", async () => {
    expect(problem(good)).toBeUndefined();
    expect(problem(good, { host: "localhost" })).toBeUndefined();
    expect(problem(good, { host: "10.0.0.7", serverName: "localhost" })).toBeUndefined();
    expect(problem(await authority.issue({ uses: "clientAuth" }), { host: undefined })).toBeUndefined();
    expect(problem(await authority.issue({ uses: "" }))).toBeUndefined();
  });

  test("says what is wrong with each file", async () => {
    const { ca, cert, key } = good;
    expect(problem({ ca: "/nowhere", cert, key })).toMatchObject({
      field: "tls.ca",
      message: expect.stringContaining("ENOENT"),
    });
    const none = join(authority.folder, "none");
    await writeFile(none, "nothing");
    expect(problem({ ca: none, cert, key })).toEqual({ field: "tls.ca", message: "contains no certificates in PEM" });
    expect(problem({ ca, cert: key, key })).toEqual({
      field: "tls.cert",
      message: "contains no certificate in PEM",
    });
    expect(problem({ ca, cert, key: cert })).toMatchObject({ field: "tls.key" });
    const { key: other } = await authority.issue();
    expect(problem({ ca, cert, key: other })).toEqual({
      field: "tls.key",
      message: "is not the key of the certificate in `tls.cert`",
    });
  });

  test("says what is wrong with the certificate", async () => {
    const old = await authority.issue({ to: "20210101000000Z" });
    expect(problem(old)?.message).toMatch(/^expired at 2021-01-01T00:00:00.000Z, and it is 20/);
    const early = await authority.issue({ from: "20680101000000Z" });
    expect(problem(early)?.message).toMatch(/^is not valid before 2068-01-01/);
    const { cert, key } = await foreign.issue();
    expect(problem({ ca: authority.ca, cert, key })?.message).toBe(
      'is issued by "CN=another authority", which is none of the authorities in `tls.ca`: "CN=authority of a test"',
    );
    expect(problem(good, { host: "10.0.0.7" })?.message).toBe(
      "is for DNS:localhost, IP Address:127.0.0.1, not for 10.0.0.7, the host of `advertise`",
    );
    expect(problem(good, { serverName: "nodes" })?.message).toContain("not for nodes, `tls.serverName`");
    expect(problem(await authority.issue({ uses: "serverAuth" }))?.message).toContain("serverAuth and clientAuth");
    expect(problem(await authority.issue({ uses: "serverAuth" }), { host: undefined })?.message).toContain(
      "needs clientAuth",
    );
    expect(problem(await authority.issue({ bits: 1_024 }))?.message).toMatch(/^cannot be used: .*key too small/);
  });
});

withOpenssl("a connection between nodes with certificates", () => {
  test("carries calls and streams", async () => {
    await using scene = new HttpScene();
    const frames = new Channel<ReturnType<typeof messagesFrame>>();
    const tls = opened(good);
    const { port } = await scene.serve({ turn: (_, signal) => frames.read(signal) }, { tls });
    const transport = scene.transport({ tls });
    expect(await transport.call(secure(port), CALL, never)).toEqual(ANSWER);
    frames.push(messagesFrame(0, "hi"), messagesFrame(1, "there"));
    frames.end();
    expect(await Array.fromAsync(transport.turn(secure(port), TURN, never))).toHaveLength(2);
  });

  test("is accepted with a name that all nodes share", async () => {
    await using scene = new HttpScene();
    const paths = await authority.issue({ names: "DNS:nodes.support" });
    const tls = opened({ ...paths, serverName: "nodes.support" });
    const { port } = await scene.serve({}, { tls });
    expect(await scene.transport({ tls }).call(secure(port), CALL, never)).toEqual(ANSWER);
    const error = await refusal(scene.transport({ tls: opened(good) }).call(secure(port), CALL, never));
    expect(error.message).toContain("has a certificate that is for another name");
  });

  test.each([
    ["has expired", () => authority.issue({ to: "20210101000000Z" })],
    ["may not be used so", () => authority.issue({ uses: "codeSigning" })],
    ["is not issued by an authority that the node trusts", () => foreign.issue()],
  ])("is refused by the node if the caller's certificate %s, and both say why", async (why, issue) => {
    await using scene = new HttpScene();
    const told: string[] = [];
    const { port } = await scene.serve({}, { tls: opened(good), refused: (message) => void told.push(message) });
    const { cert, key } = await issue();
    const tls = unchecked({ ca: good.ca, cert, key });
    const error = await refusal(scene.transport({ tls }).call(secure(port), CALL, never));
    expect(error).toMatchObject({ reason: "certificate", unsent: true, permanent: false });
    expect(error.message).toContain(`refuses the certificate of this machine, which ${why}`);
    expect(told).toHaveLength(1);
    expect(told[0]).toContain("A peer at 127.0.0.1 was refused: its certificate ");
    expect(told[0]).toContain(why.replace("the node trusts", "this node trusts"));
  });

  test.each([
    ["has expired", () => authority.issue({ to: "20210101000000Z" })],
    ["is not valid yet", () => authority.issue({ from: "20680101000000Z" })],
    ["is for another name", () => authority.issue({ names: "DNS:elsewhere" })],
    ["is not issued by an authority that this machine trusts", () => foreign.issue()],
  ])("is refused by the caller if the node's certificate %s", async (why, issue) => {
    await using scene = new HttpScene();
    const { cert, key } = await issue();
    const { port } = await scene.serve({}, { tls: unchecked({ ca: good.ca, cert, key }) });
    const error = await refusal(scene.transport({ tls: opened(good) }).call(secure(port), CALL, never));
    expect(error).toMatchObject({ reason: "certificate", unsent: true });
    expect(error.message).toContain(`has a certificate that ${why}`);
  });

  test("is refused if the caller has no certificate, and both say why", async () => {
    await using scene = new HttpScene();
    const told: string[] = [];
    const { port } = await scene.serve({}, { tls: opened(good), refused: (message) => void told.push(message) });
    const socket = connect({ port, host: "127.0.0.1", rejectUnauthorized: false });
    socket.write("POST /castellan/v1/call HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    const said = Buffer.concat(await socket.toArray()).toString();
    expect(said).toContain("403 Forbidden");
    expect(said).toContain('{"reason":"certificate","problem":"missing"}');
    expect(told[0]).toContain("its certificate is missing");
    // A caller without `tls` does not even trust the node.
    const error = await refusal(scene.transport().call(secure(port), CALL, never));
    expect(error.message).toContain("is not issued by an authority that this machine trusts");
  });

  test("is refused if only one side has TLS, and nothing is sent", async () => {
    await using scene = new HttpScene();
    const told: string[] = [];
    const tls = opened(good);
    const plain = await scene.serve({});
    const encrypted = await scene.serve({}, { tls, refused: (message) => void told.push(message) });
    const toPlain = await refusal(scene.transport({ tls }).call(at(plain.port), CALL, never));
    expect(toPlain).toMatchObject({ reason: "tls", unsent: true });
    expect(toPlain.message).toContain(
      "has no TLS, and this machine, which has `cluster.tls`, sends nothing in the clear",
    );
    const behind = await refusal(scene.transport({ tls }).call(secure(plain.port), CALL, never));
    expect(behind.message).toContain("does not speak TLS as this machine does");
    await expect(scene.transport().call(at(encrypted.port), CALL, never)).rejects.toThrow();
    await eventually(() => told.length === 1);
    expect(told[0]).toContain("it speaks HTTP without TLS");
  });

  test("does not keep a node from closing before it has begun", async () => {
    await using scene = new HttpScene();
    const server = await scene.serve({}, { tls: opened(good) });
    const socket = connectPlain(server.port, "127.0.0.1");
    onTestFinished(() => void socket.destroy());
    await once(socket, "connect");
    const ended = once(socket, "close");
    // The server knows of it by now.
    await scene.transport({ tls: opened(good) }).call(secure(server.port), CALL, never);
    await server.close();
    await ended;
  }, 5_000);

  test("tells anybody that the node runs, and nothing else", async () => {
    await using scene = new HttpScene();
    const { port } = await scene.serve({}, { tls: opened(good) });
    const socket = connect({ port, host: "127.0.0.1", rejectUnauthorized: false });
    socket.write("GET /castellan/v1/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    expect(Buffer.concat(await socket.toArray()).toString()).toContain('{"live":true}');
  });
});

withOpenssl("TlsCredentials", () => {
  test("are replaced while calls are open, and no call fails", async () => {
    await using scene = new HttpScene();
    const clock = new SetClock();
    clock.set(Date.now());
    const files = await authority.issue();
    const told: string[] = [];
    const tls = opened(files, clock, told);
    const before = tls.version;
    const frames = new Channel<ReturnType<typeof messagesFrame>>();
    const { port } = await scene.serve({ turn: (_, signal) => frames.read(signal) }, { tls });
    const transport = scene.transport({ tls });
    const reading = transport.turn(secure(port), TURN, never)[Symbol.asyncIterator]();
    frames.push(messagesFrame(0, "before"));
    await reading.next();
    await transport.call(secure(port), CALL, never);
    const next = await authority.issue();
    await copyFile(next.cert, files.cert);
    // Only one of the two files is replaced so far.
    await clock.advance(10_000);
    await eventually(() => clock.timers === 1);
    expect([tls.version === before, told]).toEqual([true, []]);
    await replace(files, next);
    await clock.advance(10_000);
    await eventually(() => tls.version !== before);
    expect(await transport.call(secure(port), CALL, never)).toEqual(ANSWER);
    frames.push(messagesFrame(1, "after"));
    frames.end();
    expect((await reading.next()).value).toMatchObject({ number: 1 });
    expect((await reading.next()).done).toBe(true);
    expect(await serialOf(port)).toBe(await serialIn(next));
    expect(told).toEqual([]);
  });

  test("trust no connection of a former authority once the authorities are replaced", async () => {
    await using scene = new HttpScene();
    const clock = new SetClock();
    clock.set(Date.now());
    const files = await authority.issue();
    const own = { ...files, ca: join(authority.folder, "replaced.pem") };
    await copyFile(authority.ca, own.ca);
    const tls = opened(own, clock);
    const { port } = await scene.serve({}, { tls });
    const transport = scene.transport({ tls: opened(good) });
    await transport.call(secure(port), CALL, never);
    const next = await foreign.issue();
    const before = tls.version;
    await copyFile(foreign.ca, own.ca);
    await replace(own, next);
    await clock.advance(10_000);
    await eventually(() => tls.version !== before);
    const later = scene.transport({ tls: unchecked({ ...good, ca: foreign.ca }) });
    const error = await refusal(later.call(secure(port), CALL, never));
    expect(error.message).toContain("is not issued by an authority that the node trusts");
  });

  test("keep what they have while the files are unusable, and say so once", async () => {
    const clock = new SetClock();
    clock.set(Date.now());
    const files = await authority.issue();
    const told: string[] = [];
    const tls = opened(files, clock, told);
    const before = tls.version;
    await writeFile(files.cert, "no certificate");
    for (let looks = 0; looks < 4; looks++) {
      await clock.advance(10_000);
      await eventually(() => clock.timers === 1);
    }
    expect(told).toEqual([
      "The files of `cluster.tls` have changed, and are not used: `cluster.tls.cert` contains no certificate in PEM.",
    ]);
    expect(tls.version).toBe(before);
  });

  test("tell of unusable files and of a certificate that ends soon each once", async () => {
    const clock = new SetClock();
    clock.set(new Date("2030-01-10T12:00:00Z").getTime());
    const files = await authority.issue({ from: "20300101000000Z", to: "20300111000000Z" });
    const told: string[] = [];
    opened(files, clock, told);
    // It fits its key, and OpenSSL refuses both.
    await replace(files, await authority.issue({ bits: 1_024 }));
    for (let looks = 0; looks < 6; looks++) {
      await clock.advance(10_000);
      await eventually(() => clock.timers === 1);
    }
    expect(told).toEqual([
      expect.stringContaining("expires at 2030-01-11T00:00:00.000Z"),
      expect.stringContaining("are not used: `cluster.tls.cert` cannot be used"),
    ]);
  });

  test("tell of a certificate that ends soon, and of one that has ended", async () => {
    const clock = new SetClock();
    clock.set(new Date("2030-01-09T12:00:00Z").getTime());
    const told: string[] = [];
    opened(await authority.issue({ from: "20300101000000Z", to: "20300111000000Z" }), clock, told);
    expect(told).toEqual([]);
    clock.set(86_400_000);
    await clock.advance(10_000);
    await eventually(() => told.length === 1);
    expect(told[0]).toContain("expires at 2030-01-11T00:00:00.000Z, in ");
    clock.set(86_400_000);
    await eventually(() => clock.timers === 1);
    await clock.advance(10_000);
    await eventually(() => told.length === 2);
    expect(told[1]).toContain("expired at 2030-01-11T00:00:00.000Z; other nodes refuse this machine");
  });

  test("are refused at the start with the field and the file", async () => {
    const { cert, key } = await foreign.issue();
    const start = (): TlsCredentials =>
      new TlsCredentials(
        { ca: authority.ca, cert, key },
        { clock: systemClock, warn: () => {}, host: "127.0.0.1", what: "supervisor", at: "cluster." },
      );
    expect(start).toThrow(
      expect.objectContaining({
        code: "INVALID_OPTIONS",
        message: expect.stringContaining("`cluster.tls.cert`: is issued by"),
      }),
    );
    expect(start).toThrow(expect.objectContaining({ message: expect.stringContaining(cert) }));
  });
});

test("peerFault: a connection without a certificate is refused even where Node.js calls it authorized", () => {
  const socket = new TLSSocket(new PassThrough());
  onTestFinished(() => void socket.destroy());
  socket.authorized = true;
  expect(peerFault(socket)).toBe("missing");
});

/** Returns the serial number of the certificate that a server shows. */
async function serialOf(port: number): Promise<string | undefined> {
  const { promise, resolve, reject } = Promise.withResolvers<string | undefined>();
  const socket = connect({ port, host: "127.0.0.1", rejectUnauthorized: false }, () => {
    resolve(socket.getPeerX509Certificate()?.serialNumber);
    socket.destroy();
  });
  socket.once("error", reject);
  return await promise;
}

async function serialIn({ cert }: TlsPaths): Promise<string> {
  return new X509Certificate(await readFile(cert)).serialNumber;
}

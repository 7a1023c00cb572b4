import { hostname } from "node:os";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  type ClusterOptions,
  clusterSettings,
  connectSettings,
  defaultNodeName,
} from "../../src/cluster/cluster-options.ts";
import { connect } from "../../src/connect.ts";
import { CastellanError } from "../../src/errors.ts";

const SECRET = "a secret of at least thirty-two characters";
const CONNECT = { postgres: "postgres://castellan:pass@db:5432/app", secret: SECRET };
const LEAST: ClusterOptions = { ...CONNECT, advertise: "http://10.0.0.7:7700" };

/** Returns the problems, by field. */
function problemsOf(read: () => unknown): Record<string, string> {
  try {
    read();
  } catch (error) {
    if (!CastellanError.is(error, "INVALID_OPTIONS")) throw error;
    return Object.fromEntries(error.details.problems.map(({ field, message }) => [field, message]));
  }
  return {};
}

test("clusterSettings: fills in the defaults", () => {
  expect(clusterSettings(LEAST)).toEqual({
    postgres: CONNECT.postgres,
    schema: "castellan",
    secrets: [SECRET],
    patienceMs: 60_000,
    advertise: new URL("http://10.0.0.7:7700"),
    listen: { host: undefined, port: 7700 },
    notifications: undefined,
    name: undefined,
    maxProcesses: undefined,
    labels: {},
    beatMs: 1_000,
    staleMs: 5_000,
    marginMs: 1_000,
  });
  expect(connectSettings(CONNECT)).toEqual({
    postgres: CONNECT.postgres,
    schema: "castellan",
    secrets: [SECRET],
    patienceMs: 60_000,
  });
  expect(defaultNodeName(7700)).toBe(`${hostname()}:7700`);
});

test.each<[advertise: string, port: number]>([
  ["http://10.0.0.7:7700", 7700],
  ["http://10.0.0.7", 80],
  ["https://node.example", 443],
  ["http://[fd00::7]:7700", 7700],
  ["http://127.0.0.1:0", 0],
])("clusterSettings: listens on the advertised port by default, for %s", (advertise, port) => {
  expect(clusterSettings({ ...LEAST, advertise }).listen).toEqual({ host: undefined, port });
  const listen = { host: "127.0.0.1", port: 7701 };
  expect(clusterSettings({ ...LEAST, advertise, listen }).listen).toEqual(listen);
});

test("clusterSettings: accepts every option", () => {
  const settings = clusterSettings({
    ...LEAST,
    schema: "support_1",
    secret: [SECRET, `${SECRET} of before`],
    patience: "5s",
    notifications: false,
    name: "one",
    maxProcesses: 16,
    labels: { zone: "a" },
    beat: "500ms",
    staleAfter: "2s",
    margin: 400,
  });
  expect(settings).toMatchObject({ schema: "support_1", patienceMs: 5_000, notifications: false, name: "one" });
  expect(settings).toMatchObject({
    maxProcesses: 16,
    labels: { zone: "a" },
    beatMs: 500,
    staleMs: 2_000,
    marginMs: 400,
  });
  expect(settings.secrets).toEqual([SECRET, `${SECRET} of before`]);
});

describe("clusterSettings and connectSettings", () => {
  test.each<[field: string, wrong: Record<string, unknown>, words: string]>([
    ["postgres", { postgres: undefined }, "got nothing"],
    ["postgres", { postgres: "mysql://castellan:pass@db/app" }, "expected a URL such as postgres://"],
    ["schema", { schema: "Support" }, "lower-case letters"],
    ["secret", { secret: "short" }, "expected at least 32 characters"],
    ["secret", { secret: [] }, "expected"],
    ["secret.1", { secret: [SECRET, "short"] }, "expected at least 32 characters"],
    ["patience", { patience: "soon" }, "expected a duration"],
    ["notifications", { notifications: true }, "expected"],
    ["notifications", { notifications: "http://castellan:pass@db" }, "expected a URL such as postgres://"],
    ["advertise", { advertise: "10.0.0.7:7700" }, "expected a URL such as http://10.0.0.7:7700"],
    ["advertise", { advertise: "ftp://10.0.0.7" }, "expected a URL such as http://10.0.0.7:7700"],
    ["advertise", { advertise: "http://10.0.0.7/castellan" }, "no path"],
    ["advertise", { advertise: "http://10.0.0.7/?zone=a" }, "no path and no parameters"],
    ["advertise", { advertise: "http://0.0.0.0:7700" }, "0.0.0.0 only works for listening"],
    ["advertise", { advertise: "http://[::]:7700" }, "[::] only works for listening"],
    ["listen.port", { listen: { port: 70_000 } }, "65535"],
    ["listen.address", { listen: { address: "127.0.0.1" } }, ""],
    ["name", { name: "" }, "expected"],
    ["maxProcesses", { maxProcesses: 0 }, "expected"],
    ["maxProcesses", { maxProcesses: 1.5 }, "expected"],
    ["labels.gpu", { labels: { gpu: true } }, "expected string"],
    ["beat", { beat: "5ms", staleAfter: "1s" }, "expected at least 10ms; got 5ms"],
    ["staleAfter", { beat: "2s" }, "at least three times `beat`, 6s, so that one late beat costs nothing; got 5s"],
    ["margin", { margin: "3s" }, "expected between 50ms and half of `staleAfter`, 2500ms; got 3s"],
    ["margin", { margin: "20ms" }, "got 20ms"],
    ["margin", { beat: "20ms", staleAfter: "100ms" }, "the default is 20ms"],
    ["stale", { stale: "5s" }, "is not an option"],
  ])("report %s in %j, without showing a secret", (field, wrong, words) => {
    const problems = problemsOf(() => clusterSettings({ ...LEAST, ...wrong }));
    const said = Object.entries(problems).find(([at]) => at.startsWith(`cluster.${field}`) || at === "cluster.listen");
    expect(said?.[1]).toContain(words);
    const all = JSON.stringify(problems);
    for (const secret of ["pass", SECRET, "short"]) expect(all.replaceAll("password", "")).not.toContain(secret);
  });

  test("report all problems at once", () => {
    const wrong = { postgres: "db", beat: 1, staleAfter: 2, advertise: "http://0.0.0.0/x" };
    expect(Object.keys(problemsOf(() => clusterSettings({ ...LEAST, ...wrong })))).toEqual(
      expect.arrayContaining(["cluster.postgres", "cluster.beat", "cluster.staleAfter", "cluster.margin"]),
    );
  });

  test("refuse options of a node for a client", () => {
    expect(problemsOf(() => connectSettings({ ...CONNECT, secret: "short" }))).toHaveProperty("secret");
    expect(problemsOf(() => connectSettings({ ...CONNECT, schema: "No" }))).toHaveProperty("schema");
    // @ts-expect-error: only nodes listen to them
    expect(problemsOf(() => connectSettings({ ...CONNECT, notifications: false }))).toHaveProperty("notifications");
  });
});

test("clusterSettings: leaves a node that misses two beats time to end its processes, for all accepted durations", () => {
  const ms = fc.integer({ min: 0, max: 20_000 });
  fc.assert(
    fc.property(ms, ms, fc.option(ms, { nil: undefined }), (beat, staleAfter, margin) => {
      const options = { ...LEAST, beat, staleAfter, ...(margin === undefined ? {} : { margin }) };
      if (Object.keys(problemsOf(() => clusterSettings(options))).length > 0) return;
      const { beatMs, staleMs, marginMs } = clusterSettings(options);
      expect(staleMs).toBeGreaterThanOrEqual(3 * beatMs);
      expect(marginMs).toBeGreaterThanOrEqual(50);
      expect(staleMs - marginMs).toBeGreaterThanOrEqual(1.5 * beatMs);
    }),
  );
});

test("clusterSettings: refuses `transcripts`, because global sessions move", () => {
  const problems = problemsOf(() => clusterSettings({ ...LEAST, ...{ transcripts: "local" } }));
  expect(problems).toEqual({ "cluster.transcripts": expect.stringContaining("could not move") });
});

describe("clusterSettings and connectSettings: `tls`", () => {
  const tls = { ca: "ca.pem", cert: "node.pem", key: "node.key" };

  test("is taken with an address of https, and by clients", () => {
    expect(clusterSettings({ ...LEAST, advertise: "https://10.0.0.7:7700", tls }).tls).toEqual(tls);
    expect(connectSettings({ ...CONNECT, tls: { ...tls, serverName: "nodes" } }).tls).toMatchObject({
      serverName: "nodes",
    });
  });

  test("is refused with an address of http, or without one of its files", () => {
    expect(problemsOf(() => clusterSettings({ ...LEAST, tls }))["cluster.advertise"]).toContain("expected https://…");
    const { key: _, ...some } = tls;
    // @ts-expect-error: a caller without types may pass this
    expect(Object.keys(problemsOf(() => connectSettings({ ...CONNECT, tls: some })))).toEqual(["tls.key"]);
  });

  test("is read when a client is made, and a file that is missing is named", () => {
    const made = (): unknown => connect({ ...CONNECT, tls });
    expect(problemsOf(made)["tls.ca"]).toMatch(/^cannot be read: ENOENT.*; ca\.pem$/);
  });
});

import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inspect } from "node:util";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { CastellanError } from "../../src/errors.ts";
import { postgresJournal } from "../../src/journal/postgres/postgres-journal.ts";
import { type Certificate, certificate } from "./certificates.ts";
import { PostgresServer } from "./postgres-server.ts";

let server: PostgresServer;
let plain: PostgresServer;
let folder: string;
let own: Certificate;
let other: Certificate;

const OWNER = { id: "first", pid: 11, host: "one", startedAt: 1_700_000_000_000 };

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "castellan-tls-"));
  await chmod(folder, 0o755);
  own = await certificate(folder, "own", "IP:127.0.0.1", process.getuid?.() === 0 ? 65534 : undefined);
  other = await certificate(folder, "other", "DNS:elsewhere.example");
  server = await PostgresServer.start({ ssl: "on", ssl_cert_file: own.cert, ssl_key_file: own.key });
  plain = await PostgresServer.start();
});

afterAll(async () => {
  await server?.remove();
  await plain?.remove();
  await rm(folder, { recursive: true, force: true });
});

async function refusal(postgres: string): Promise<CastellanError> {
  const error = await postgresJournal({ postgres, schema: "castellan" })
    .open(OWNER)
    .catch((error: unknown) => error);
  if (!CastellanError.is(error)) throw new Error(`expected a CastellanError, got ${inspect(error)}`);
  expect(inspect(error, { depth: 10 })).not.toContain(server.password);
  return error;
}

describe("postgresJournal with sslmode=verify-full", () => {
  it("connects if the authority has signed the server's certificate, and the certificate names the host", async () => {
    const journal = postgresJournal({
      postgres: `${server.url()}?sslmode=verify-full&sslrootcert=${own.ca}`,
      schema: "a",
    });
    await journal.open(OWNER);
    onTestFinished(() => journal.close());
    const [row] = await server.sql(
      "select count(*)::integer as count from pg_stat_ssl join pg_stat_activity using (pid) where ssl and application_name = 'castellan'",
    );
    expect(row?.["count"]).toBeGreaterThan(0);
    await journal.write({ number: 1, durable: true, changes: [{ type: "turn_touched", turn: "t" }] });
    await server.cutConnections();
    await journal.write({ number: 2, durable: true, changes: [{ type: "turn_touched", turn: "t" }] });
  });

  it("rejects with `untrusted`, and sends no password, if another authority has signed it, or none that is known", async () => {
    for (const parameters of [`sslmode=verify-full&sslrootcert=${other.ca}`, "sslmode=verify-full"]) {
      const error = await refusal(`${server.url()}?${parameters}`);
      expect(error).toMatchObject({ code: "JOURNAL_UNAVAILABLE", details: { reason: "untrusted", applied: false } });
      expect(error.message).toMatch(/certificate.*sslrootcert/s);
    }
  });

  it("rejects with `untrusted` if the certificate names another host", async () => {
    const postgres = server.url().replace("127.0.0.1", "localhost");
    const error = await refusal(`${postgres}?sslmode=verify-full&sslrootcert=${own.ca}`);
    expect(error).toMatchObject({ details: { reason: "untrusted" } });
    expect(error.message).toMatch(/localhost/);
  });

  it("rejects with `untrusted` if the server has no TLS, or a file that the URL names cannot be read", async () => {
    const none = await refusal(`${plain.url()}?sslmode=verify-full&sslrootcert=${own.ca}`);
    expect(none).toMatchObject({ details: { reason: "untrusted" } });
    expect(none.message).toContain("does not support SSL");
    const missing = await refusal(`${server.url()}?sslmode=verify-full&sslrootcert=${folder}/missing.pem`);
    expect(missing).toMatchObject({ details: { reason: "untrusted" } });
    expect(missing.message).toContain("missing.pem");
  });

  it("says that the server takes no connection without TLS", async () => {
    await server.requireTls();
    const error = await refusal(`${server.url()}?sslmode=disable`);
    expect(error).toMatchObject({ details: { reason: "unreachable" } });
    expect(error.message).toContain("no encryption");
  });
});

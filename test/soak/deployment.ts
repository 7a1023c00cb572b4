import { mkdtemp, realpath, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Cluster } from "../../src/cluster/cluster.ts";
import { connect } from "../../src/connect.ts";
import type { PostgresServer } from "../journal/postgres-server.ts";
import { processesWith } from "../real/processes.ts";
import { becomes } from "./cluster-scene.ts";
import { Pod } from "./pod.ts";
import { PodService } from "./pod-service.ts";

const SECRET = "a secret of at least thirty-two characters";

/** How long a pod may take from SIGTERM to its end, in milliseconds: more than the server's own limit for turns. */
const GRACE_MS = 40_000;

/** Longer than the default, because a busy machine starts a pod slowly. */
const START_MS = 60_000;

/** Pods of one cluster behind a service, as a Deployment of Kubernetes has them. */
export class Deployment implements AsyncDisposable {
  readonly server: PostgresServer;
  readonly schema: string;
  readonly client: Cluster;
  readonly service: PodService;
  /** All pods so far, in the order of their starts. */
  readonly all: Pod[];
  readonly #directory: string;
  readonly #env: Readonly<Record<string, string>>;
  readonly #pods: Pod[];

  private constructor(
    server: PostgresServer,
    env: Readonly<Record<string, string>>,
    directory: string,
    service: PodService,
    pods: Pod[],
  ) {
    this.server = server;
    this.schema = server.fresh().schema;
    this.client = connect({ postgres: server.url(), schema: this.schema, secret: SECRET, patience: "60s" });
    this.service = service;
    this.all = [];
    this.#env = env;
    this.#directory = directory;
    this.#pods = pods;
  }

  /** Starts a deployment without pods. */
  static async start(server: PostgresServer, env: Readonly<Record<string, string>>): Promise<Deployment> {
    const directory = await realpath(await mkdtemp(join(tmpdir(), "castellan-pods-")));
    const pods: Pod[] = [];
    return new Deployment(server, env, directory, await PodService.start(() => pods), pods);
  }

  /** Starts a pod. Resolves once it is ready. */
  async add(name: string, zone: string): Promise<Pod> {
    const { server, schema } = this;
    const database = { port: server.port, schema, url: (port: number) => server.url({ port }) };
    const directory = join(this.#directory, name);
    const pod = await Pod.start({ name, zone, directory, database, secret: SECRET, env: this.#env });
    this.all.push(pod);
    this.#pods.push(pod);
    await becomes(() => pod.isReady, START_MS);
    return pod;
  }

  /** Terminates a pod. Resolves with whether it ended by itself within its grace period. */
  async evict(pod: Pod): Promise<boolean> {
    const isGraceful = await pod.terminate(GRACE_MS);
    this.#forget(pod);
    return isGraceful;
  }

  /** Kills all processes of a pod. */
  async kill(pod: Pod): Promise<void> {
    pod.kill();
    await pod.gone;
    this.#forget(pod);
  }

  get pods(): readonly Pod[] {
    return this.#pods;
  }

  /** The pids of every process of the pods. */
  get processes(): number[] {
    return processesWith(this.#directory);
  }

  async stop(): Promise<void> {
    await Promise.all(this.#pods.map((pod) => pod.terminate(GRACE_MS)));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.client.close();
    await Promise.all(this.all.map((pod) => pod.remove()));
    await this.service.stop();
    await rm(this.#directory, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
  }

  #forget(pod: Pod): void {
    this.#pods.splice(this.#pods.indexOf(pod), 1);
  }
}

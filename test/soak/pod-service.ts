import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import type { Pod } from "./pod.ts";

/** Leads each new connection to one of the pods that are ready, in turn, as a service of Kubernetes does. */
export class PodService {
  readonly #pods: () => readonly Pod[];
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #next = 0;

  private constructor(pods: () => readonly Pod[]) {
    this.#pods = pods;
    this.#server = createServer({ noDelay: true }, (client) => this.#lead(client));
  }

  /** @param pods returns all pods at the moment */
  static async start(pods: () => readonly Pod[]): Promise<PodService> {
    const service = new PodService(pods);
    service.#server.listen(0, "127.0.0.1");
    await once(service.#server, "listening");
    return service;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    const closed = once(this.#server, "close");
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  #lead(client: Socket): void {
    const ready = this.#pods().filter(({ isReady }) => isReady);
    const pod = ready[this.#next++ % Math.max(1, ready.length)];
    if (pod === undefined) {
      client.destroy();
      return;
    }
    const upstream = connect({ port: pod.port, host: "127.0.0.1", noDelay: true });
    for (const [from, to] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      this.#sockets.add(from);
      from.on("error", () => {});
      from.on("close", () => {
        this.#sockets.delete(from);
        to.destroy();
      });
      from.pipe(to);
    }
  }
}

import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";

/** A proxy between an application and PostgreSQL that fails on request. */
export class PostgresProxy {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #cut: "before" | "after" | undefined;
  #held = false;
  #delay: { readonly reached: () => void; readonly released: Promise<void> } | undefined;

  private constructor(upstreamPort: number) {
    this.#server = createServer({ noDelay: true }, (client) =>
      this.#join(client, connect({ port: upstreamPort, host: "127.0.0.1", noDelay: true })),
    );
  }

  static async start(upstreamPort: number): Promise<PostgresProxy> {
    const proxy = new PostgresProxy(upstreamPort);
    proxy.#server.listen(0, "127.0.0.1");
    await once(proxy.#server, "listening");
    return proxy;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /**
   * Cuts the connection of the next commit of a write: before the commit reaches the server, or after the server
   * has committed and before its answer returns.
   */
  cutAtCommit(when: "before" | "after"): void {
    this.#cut = when;
  }

  /** Holds the next commit until it is released. `reached` resolves when it arrives at the proxy. */
  holdCommit(): { readonly reached: Promise<void>; release(): void } {
    const [reached, released] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    this.#delay = { reached: reached.resolve, released: released.promise };
    return { reached: reached.promise, release: released.resolve };
  }

  /** Drops all traffic without closing connections. */
  hold(): void {
    this.#held = true;
  }

  /** Lets new connections through again. Held connections stay dead. */
  resume(): void {
    this.#held = false;
  }

  async stop(): Promise<void> {
    const closed = once(this.#server, "close");
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  #join(client: Socket, upstream: Socket): void {
    const cut = (): void => {
      client.destroy();
      upstream.destroy();
    };
    for (const socket of [client, upstream]) {
      this.#sockets.add(socket);
      socket.on("error", cut);
      socket.on("close", cut);
      socket.on("close", () => this.#sockets.delete(socket));
    }
    let isLast = false;
    // Heartbeats of the owner and reads, such as that of the durability settings, are transactions that may come at any moment.
    let isAside = false;
    client.on("data", (data) => {
      if (this.#held) return;
      if (data.includes("update owner set heartbeat") || data.includes(", read only;")) isAside = true;
      const commits = data.includes("commit\0") && !isAside;
      if (data.includes("commit\0")) isAside = false;
      if (this.#cut !== undefined && commits) {
        const when = this.#cut;
        this.#cut = undefined;
        if (when === "before") return cut();
        isLast = true;
      }
      const delay = commits ? this.#delay : undefined;
      if (delay === undefined) return upstream.write(data);
      this.#delay = undefined;
      delay.reached();
      void delay.released.then(() => upstream.write(data));
    });
    upstream.on("data", (data) => {
      if (this.#held) return;
      if (isLast) return cut();
      client.write(data);
    });
  }
}

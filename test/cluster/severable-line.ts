import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";

/** A proxy to a server on this machine, which a test can cut and mend. */
export class SeverableLine {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #to: number | Promise<number>;
  #cut = false;
  #bytes = 0;

  /** `to` is the server's port, or a promise of it. */
  private constructor(to: number | Promise<number>) {
    this.#to = to;
    this.#server = createServer({ noDelay: true }, (client) => void this.#join(client));
  }

  static async start(to: number | Promise<number>): Promise<SeverableLine> {
    const line = new SeverableLine(to);
    line.#server.listen(0, "127.0.0.1");
    await once(line.#server, "listening");
    return line;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** The number of bytes passed on, in both directions. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Drops all traffic without closing connections. */
  cut(): void {
    this.#cut = true;
  }

  /** Breaks the existing connections, and passes new ones on. */
  restore(): void {
    this.#cut = false;
    for (const socket of this.#sockets) socket.destroy();
  }

  /** Breaks the existing connections, and leads new ones to this port. */
  redirect(to: number): void {
    this.#to = to;
    this.restore();
  }

  async stop(): Promise<void> {
    const closed = once(this.#server, "close");
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  async #join(client: Socket): Promise<void> {
    this.#hold(client);
    const upstream = connect({ port: await this.#to, host: "127.0.0.1", noDelay: true });
    this.#hold(upstream);
    const both = [
      [client, upstream],
      [upstream, client],
    ] as const;
    for (const [from, into] of both) {
      from.on("close", () => into.destroy());
      from.on("data", (data) => {
        if (this.#cut) return;
        this.#bytes += data.length;
        // A slow reader slows the writer, as on a network.
        if (into.write(data)) return;
        from.pause();
        into.once("drain", () => from.resume());
      });
    }
    if (client.destroyed) upstream.destroy();
  }

  #hold(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on("error", () => socket.destroy());
    socket.on("close", () => this.#sockets.delete(socket));
  }
}

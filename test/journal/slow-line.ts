import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";

/** A proxy to a server on this machine that delays everything clients send, as a far or slow server does. Counts connections. */
export class SlowLine {
  /** The delay in milliseconds. */
  delayMs: number;
  /** The number of connections so far, and the largest number of them at a time. */
  total = 0;
  most = 0;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #open = 0;

  private constructor(to: number, delayMs: number) {
    this.delayMs = delayMs;
    this.#server = createServer({ noDelay: true }, (client) =>
      this.#join(client, connect({ port: to, host: "127.0.0.1", noDelay: true })),
    );
  }

  static async start(to: number, delayMs = 0): Promise<SlowLine> {
    const line = new SlowLine(to, delayMs);
    line.#server.listen(0, "127.0.0.1");
    await once(line.#server, "listening");
    return line;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  async stop(): Promise<void> {
    const closed = once(this.#server, "close");
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  #join(client: Socket, upstream: Socket): void {
    this.total += 1;
    this.#open += 1;
    this.most = Math.max(this.most, this.#open);
    client.once("close", () => {
      this.#open -= 1;
    });
    for (const socket of [client, upstream]) {
      this.#sockets.add(socket);
      socket.on("error", () => socket.destroy());
      socket.on("close", () => {
        this.#sockets.delete(socket);
        client.destroy();
        upstream.destroy();
      });
    }
    // Timers of the same delay keep their order.
    client.on("data", (data) => void setTimeout(() => upstream.write(data), this.delayMs));
    upstream.on("data", (data) => client.write(data));
  }
}

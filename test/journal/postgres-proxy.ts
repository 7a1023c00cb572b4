import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";

/** The message that commits. */
const COMMIT = Buffer.from("Q\0\0\0\x0bcommit\0");

/** How a write begins, and a mistake of the same length. */
const BEGIN = Buffer.from("begin isolation level read committed;");
const NO_BEGIN = Buffer.from("begun isolation level read committed;");

/** A proxy between an application and PostgreSQL that counts round trips, and fails on request. */
export class PostgresProxy {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #cut: "before" | "after" | undefined;
  #held = false;
  #refuses = false;
  #roundTrips = 0;
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
   * How often a client has sent something after an answer, for which it had waited, without logins, reads and
   * heartbeats.
   */
  get roundTrips(): number {
    return this.#roundTrips;
  }

  /**
   * Cuts the connection of the next commit of a write: before the commit reaches the server, or after the server
   * has committed and before its answer returns.
   */
  cutAtCommit(when: "before" | "after"): void {
    this.#cut = when;
  }

  /** Has the server refuse the beginning of the next write, as a cancellation at that moment would. */
  refuseBegin(): void {
    this.#refuses = true;
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
    let [isLast, isAnswered] = [false, true];
    // Heartbeats of the owner and reads, such as that of the durability settings, are transactions that may come at any moment.
    let isAside = false;
    client.on("data", (data) => {
      if (this.#held) return;
      const begin = this.#refuses ? data.indexOf(BEGIN) : -1;
      if (begin !== -1) this.#refuses = false;
      if (begin !== -1) NO_BEGIN.copy(data, begin);
      if (data.includes("update owner set heartbeat") || data.includes(", read only;")) isAside = true;
      // A login has no queries (`Q`) and no statements to parse (`P`).
      if (isAnswered && !isAside && /^[QP]/.test(data.toString("latin1", 0, 1))) this.#roundTrips += 1;
      isAnswered = false;
      const commits = data.includes(COMMIT) && !isAside;
      if (data.includes(COMMIT)) isAside = false;
      if (!commits || (this.#cut === undefined && this.#delay === undefined)) return upstream.write(data);
      // The statements before the commit may be in the same packet.
      const start = data.lastIndexOf(COMMIT);
      upstream.write(data.subarray(0, start));
      const commit = data.subarray(start);
      const when = this.#cut;
      this.#cut = undefined;
      if (when === "before") return cut();
      isLast = when === "after";
      const delay = this.#delay;
      this.#delay = undefined;
      delay?.reached();
      if (delay === undefined) upstream.write(commit);
      else void delay.released.then(() => upstream.write(commit));
    });
    upstream.on("data", (data) => {
      isAnswered = true;
      if (this.#held) return;
      if (!isLast) client.write(data);
      // The answers of the statements before the commit may come first.
      else if (data.includes("COMMIT\0")) cut();
    });
  }
}

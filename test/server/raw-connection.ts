import { once } from "node:events";
import { connect, type Socket } from "node:net";

/** A TCP connection on which a test writes bytes as it likes. */
export class RawConnection implements Disposable {
  readonly #socket: Socket;
  #text = "";
  /** Resolves with everything that the server has sent, once it has closed the connection. */
  readonly closed: Promise<string>;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on("data", (data) => {
      this.#text += data.toString("latin1");
    });
    socket.on("error", () => {});
    this.closed = new Promise((resolve) => socket.once("close", () => resolve(this.#text)));
  }

  static async to(url: string): Promise<RawConnection> {
    const { hostname, port } = new URL(url);
    const socket = connect(Number(port), hostname);
    await once(socket, "connect");
    return new RawConnection(socket);
  }

  /** Sends text, and resolves with the whole answer once the server has closed the connection. */
  static async exchange(url: string, text: string): Promise<string> {
    using connection = await RawConnection.to(url);
    connection.write(text);
    return await connection.closed;
  }

  write(text: string): void {
    this.#socket.write(text, "latin1");
  }

  /** Stops reading, so that the kernel's buffers fill up. */
  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  /** Resolves once the server has sent `text`. */
  async until(text: string): Promise<void> {
    while (!this.#text.includes(text)) await once(this.#socket, "data");
  }

  [Symbol.dispose](): void {
    this.#socket.destroy();
  }
}

import type { Socket } from "node:net";

/**
 * The connections that have not brought a signed request yet. Anybody can open them, so there are few: a new one ends
 * the oldest. A node's connection stops being one with its first request.
 */
export class Strangers {
  readonly #most: number;
  /** By remote address and port, the oldest first. */
  readonly #sockets = new Map<string, Socket>();

  /** @param most how many there may be */
  constructor(most: number) {
    this.#most = most;
  }

  get size(): number {
    return this.#sockets.size;
  }

  add(socket: Socket): void {
    const peer = peerOf(socket);
    if (this.#sockets.size >= this.#most) {
      const [oldest] = this.#sockets.values();
      oldest?.destroy();
      for (const [one, known] of this.#sockets) if (known === oldest) this.#sockets.delete(one);
    }
    this.#sockets.set(peer, socket);
    socket.once("close", () => {
      if (this.#sockets.get(peer) === socket) this.#sockets.delete(peer);
    });
  }

  /** Ends all connections, also those that have not become encrypted ones yet, of which the HTTP server does not know. */
  close(): void {
    for (const socket of this.#sockets.values()) socket.destroy();
  }

  /** The peer has sent a signed request. @param socket the connection, or the encrypted one on it */
  know(socket: Socket): void {
    this.#sockets.delete(peerOf(socket));
  }
}

/** An encrypted connection and the one beneath have the same peer, and no other connection has it at the time. */
function peerOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress} ${remotePort}`;
}

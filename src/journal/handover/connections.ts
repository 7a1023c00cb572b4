import { chmodSync, rmSync } from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import type { Journal } from "../model/journal.ts";
import type { ChannelSocket } from "./channel.ts";
import { isPrivate, listenersOf, makePrivate, type OwnerPlace, removeFolder, socketOf } from "./place.ts";

/** How many applications may ask at a time. */
const MOST_CONNECTIONS = 64;

/** A socket on which other applications of this user can ask for the journal. */
export interface HandoverListener {
  close(): Promise<void>;
}

/** How the applications with a journal reach each other. */
export interface HandoverConnections {
  /** Listens for other applications. Resolves with undefined if that is impossible here. */
  listen(accept: (socket: ChannelSocket) => void): Promise<HandoverListener | undefined>;
  /** Connects to an owner of the journal. Resolves with undefined if that is impossible. */
  connect(owner: OwnerPlace): Promise<ChannelSocket | undefined>;
  /** Returns the other applications of this machine that listen, or did before they died. */
  others(): readonly OwnerPlace[];
}

/** Returns the connections by unix sockets of a journal. @param own this application */
export function unixConnections(journal: Pick<Journal, "kind" | "location">, own: OwnerPlace): HandoverConnections {
  return {
    listen: async (accept) => {
      const path = socketOf(journal, own);
      return path === undefined ? undefined : await listenFor(path, accept);
    },
    connect: async (owner) => {
      const path = socketOf(journal, owner);
      return path === undefined ? undefined : await connectTo(path);
    },
    others: () => listenersOf(journal, own),
  };
}

/** Listens on a socket in a folder that only this user can open. Resolves with undefined if that is impossible here. */
async function listenFor(path: string, accept: (socket: Socket) => void): Promise<HandoverListener | undefined> {
  if (!makePrivate(path)) return undefined;
  // A process with this pid and start time has left it: this one.
  rmSync(path, { force: true });
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
    socket.unref();
    accept(socket);
  });
  server.maxConnections = MOST_CONNECTIONS;
  // The application ends when its own work is done.
  server.unref();
  const { promise, resolve } = Promise.withResolvers<boolean>();
  server.once("error", () => resolve(false));
  server.listen(path, () => resolve(true));
  if (!(await promise)) return undefined;
  chmodSync(path, 0o600);
  server.on("error", () => {});
  return {
    close: async () => {
      const closed = new Promise<void>((done) => server.close(() => done()));
      for (const socket of sockets) socket.destroy();
      await closed;
      removeFolder(path);
    },
  };
}

/** Connects to the socket of an owner. Resolves with undefined if nobody listens, or another user might. */
async function connectTo(path: string): Promise<Socket | undefined> {
  if (!isPrivate(path)) return undefined;
  const { promise, resolve } = Promise.withResolvers<Socket | undefined>();
  const socket = connect(path, () => resolve(socket));
  socket.once("error", () => resolve(undefined));
  return await promise;
}

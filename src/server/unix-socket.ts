import { chmod, rename, rm } from "node:fs/promises";
import type { Server } from "node:http";
import { connect } from "node:net";
import { isMainThread } from "node:worker_threads";
import { invalidOptions } from "../session/options/validation.ts";

/**
 * Listens on a unix socket that only this user can open. Replaces the socket of a server that has died; with `shared`, also that
 * of one that still listens, which keeps its connections and gets no more.
 *
 * @throws CastellanError `INVALID_OPTIONS`
 */
export async function listenOnSocket(
  server: Server,
  path: string,
  { shared = false }: { readonly shared?: boolean } = {},
): Promise<void> {
  if (shared) {
    // The server removes its own path when it closes, so it must not be the one that the next server takes.
    const own = `${path}-${process.pid}`;
    await rm(own, { force: true });
    try {
      await bind(server, own);
      await chmod(own, 0o600);
      await rename(own, path);
    } catch (error) {
      throw unusable(path, error);
    }
    return;
  }
  try {
    await bind(server, path);
  } catch (error) {
    if (codeOf(error) !== "EADDRINUSE") throw unusable(path, error);
    if (await answers(path)) throw unusable(path, new Error("another server listens on it"));
    await rm(path, { force: true });
    await bind(server, path).catch((error: unknown) => {
      throw unusable(path, error);
    });
  }
  await chmod(path, 0o600);
}

async function bind(server: Server, path: string): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once("error", reject);
  // The call creates the file, which others must not be able to open before its mode is set. Worker threads have no umask of their own.
  const umask = isMainThread ? process.umask(0o177) : undefined;
  try {
    server.listen({ path }, resolve);
  } finally {
    if (umask !== undefined) process.umask(umask);
  }
  try {
    await promise;
  } finally {
    server.off("error", reject);
  }
}

/** Whether a process listens on the socket. */
async function answers(path: string): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const socket = connect({ path }, () => resolve(true));
  socket.once("error", () => resolve(false));
  try {
    return await promise;
  } finally {
    socket.destroy();
  }
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && "code" in error ? error.code : undefined;
}

function unusable(path: string, error: unknown): Error {
  const words = error instanceof Error ? error.message : String(error);
  return invalidOptions("server", [{ field: "socket", message: `${path} cannot be used: ${words}` }], error);
}

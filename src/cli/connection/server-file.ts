import { mkdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { z } from "zod";
import { isAlive } from "../../live-process.ts";

/** Where a running server says how to reach it, in its working directory. */
const SERVER_FILE = ".castellan/server.json";

/** How to reach a running server of this host. */
export interface ServerAddress {
  readonly url: string;
  readonly pid: number;
  /** The absolute path of its unix socket, which needs no token. */
  readonly socket?: string;
}

const schema: z.ZodType<ServerAddress> = z.object({
  url: z.url(),
  pid: z.int().positive(),
  socket: z.string().exactOptional(),
});

/** Writes the file, which only this user can read. Replaces that of another server in one step. */
export async function writeServerFile(address: ServerAddress, cwd: string): Promise<void> {
  const path = resolve(cwd, SERVER_FILE);
  await mkdir(dirname(path), { recursive: true });
  const temporary = `${path}.${address.pid}`;
  await writeFile(temporary, `${JSON.stringify(address)}\n`, { mode: 0o600 });
  await rename(temporary, path);
}

/** Removes the file, unless another server has written it in the meantime. */
export async function removeServerFile(pid: number, cwd: string): Promise<void> {
  if ((await readServerFile(cwd))?.pid === pid) await rm(resolve(cwd, SERVER_FILE), { force: true });
}

/** Reads the file of the folder, or of the nearest one above that has one. */
export async function findServerFile(cwd: string): Promise<ServerAddress | undefined> {
  const found = await readServerFile(cwd);
  return found !== undefined || dirname(cwd) === cwd ? found : await findServerFile(dirname(cwd));
}

/**
 * Reads the file. Returns undefined if there is none, if the process that wrote it is gone, or if another user could have written it: that
 * one would get the token.
 */
async function readServerFile(cwd: string): Promise<ServerAddress | undefined> {
  const path = resolve(cwd, SERVER_FILE);
  const facts = await stat(path).catch(() => undefined);
  if (facts === undefined || facts.uid !== process.getuid?.() || (facts.mode & 0o022) !== 0) return undefined;
  const parsed = schema.safeParse(jsonOf(await readFile(path, "utf8").catch(() => "")));
  return parsed.success && isAlive(parsed.data.pid) ? parsed.data : undefined;
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

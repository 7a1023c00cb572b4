import { randomInt } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:net";

/** How many ports are tried. */
const TRIES = 20;

/**
 * A port for a server that starts later, or again: below those that systems give to connections, so that nobody has it while the
 * server is down.
 */
export async function freePort(): Promise<number> {
  for (let attempt = 1; ; attempt += 1) {
    const port = randomInt(20_000, 30_000);
    const server = createServer().listen(port, "127.0.0.1");
    try {
      await once(server, "listening");
      server.close();
      await once(server, "close");
      return port;
    } catch (error) {
      if (attempt === TRIES) throw error;
    }
  }
}

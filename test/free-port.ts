import { randomInt } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:net";

/** How many ports to try. */
const TRIES = 20;

/**
 * Returns a port for a server that starts later, or more than once. The port is below the ephemeral range, so that no
 * connection takes it while the server is down.
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

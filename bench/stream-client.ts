import { once } from "node:events";
import { Agent, get, type IncomingMessage } from "node:http";

/* Reads streams of events, each over a connection of its own, and counts the events: the other side of StreamClient. */

const [urls = "[]", streams = "0"] = process.argv.slice(2);
const addresses = JSON.parse(urls) as string[];
const agent = new Agent({ maxSockets: Number.POSITIVE_INFINITY });
let received = 0;

async function open(url: string): Promise<void> {
  const [response] = (await once(get(url, { agent }), "response")) as [IncomingMessage];
  if (response.statusCode !== 200) throw new Error(`${url} answered ${response.statusCode}`);
  response.on("data", (chunk: Buffer) => {
    for (let at = chunk.indexOf("\n\n"); at !== -1; at = chunk.indexOf("\n\n", at + 2)) received += 1;
  });
}

// Node does not accept any number of connections at once.
for (let opened = 0; opened < Number(streams); opened += 50) {
  await Promise.all(
    Array.from({ length: 50 }, (_, index) => open(addresses[(opened + index) % addresses.length] ?? "")),
  );
}
process.on("message", () => process.send?.(received));
process.on("disconnect", () => process.exit());
process.send?.("ready");

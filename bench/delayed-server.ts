import { once } from "node:events";
import { type AddressInfo, connect, createServer } from "node:net";

/** A proxy before a server on this machine that delays its answers, as a network would. */
export interface DelayedServer {
  readonly port: number;
  stop(): void;
}

/** @param ms the delay of each answer, in milliseconds: the latency of a round trip */
export async function delayedServer(port: number, ms: number): Promise<DelayedServer> {
  const server = createServer({ noDelay: true }, (client) => {
    const upstream = connect({ port, host: "127.0.0.1", noDelay: true });
    const cut = (): void => {
      client.destroy();
      upstream.destroy();
    };
    for (const socket of [client, upstream]) socket.on("error", cut).on("close", cut);
    client.on("data", (data) => upstream.write(data));
    // Timers of the same delay end in order.
    upstream.on("data", (data) => void setTimeout(() => client.write(data), ms));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return { port: (server.address() as AddressInfo).port, stop: () => server.close() };
}

import { type ChildProcess, fork } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { fileURLToPath } from "node:url";
import { Supervisor } from "../src/index.ts";
import { listen } from "../src/server/index.ts";
import type { Backend } from "./backend.ts";
import { BareSession } from "./bare-session.ts";
import { sqlite } from "./castellan.ts";

/** Sessions in this process, and streams of their events to a client in another process. */
export interface ServedStreams extends AsyncDisposable {
  /** Sends a prompt. Resolves once its turn has ended. */
  ask(session: number, prompt: string): Promise<unknown>;
  /** Returns how many events the client has received. */
  received(): Promise<number>;
}

/** The bare SDK, and the least that a server does: it writes each message to the responses of the session. */
export async function bareStreams(backend: Backend, count: number, streams: number): Promise<ServedStreams> {
  const readers = Array.from({ length: count }, () => new Set<ServerResponse>());
  const sessions = readers.map((responses) => {
    return new BareSession(backend, undefined, (message) => {
      const event = `data: ${JSON.stringify(message)}\n\n`;
      for (const response of responses) response.write(event);
    });
  });
  await Promise.all(sessions.map(({ ready }) => ready));
  const server = createServer((request, response) => {
    response.writeHead(200, { "content-type": "text/event-stream" }).flushHeaders();
    readers[Number(request.url?.slice(1))]?.add(response);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const client = await StreamClient.start(
    sessions.map((_, session) => `${url}/${session}`),
    streams,
  );
  return {
    ask: async (session, prompt) => await sessions[session]?.ask(prompt),
    received: () => client.received(),
    [Symbol.asyncDispose]: async () => {
      await client.end();
      server.closeAllConnections();
      server.close();
      await Promise.all(sessions.map((session) => session.end()));
    },
  };
}

/** Castellan with its server and a journal in a file. */
export function servedStreams(directory: string): typeof bareStreams {
  return async (backend, count, streams) => {
    const names = Array.from({ length: count }, () => randomUUID());
    const supervisor = await Supervisor.start(
      names.map((name) => ({ name })),
      { journal: sqlite(directory), defaults: backend.options },
    );
    const server = await listen(supervisor, { tokens: false, rateLimit: false });
    const path = (name: string): string => `/castellan/v1/sessions/${encodeURIComponent(JSON.stringify(name))}`;
    const urls = names.map((name) => `${server.url}${path(name)}/events/stream?deltas=true`);
    const client = await StreamClient.start(urls, streams);
    return {
      ask: (session, prompt) => supervisor.query(names[session] ?? "", prompt),
      received: () => client.received(),
      [Symbol.asyncDispose]: async () => {
        await client.end();
        await server.close();
        await supervisor.stop();
      },
    };
  };
}

/** A client in a process of its own, which reads the streams. */
class StreamClient {
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess) {
    this.#child = child;
  }

  /** Opens `streams` streams, of each of the addresses in turn. */
  static async start(urls: readonly string[], streams: number): Promise<StreamClient> {
    const path = fileURLToPath(new URL("./stream-client.ts", import.meta.url));
    const client = new StreamClient(fork(path, [JSON.stringify(urls), String(streams)], { execArgv: [] }));
    await client.#message();
    return client;
  }

  async received(): Promise<number> {
    const answer = this.#message();
    this.#child.send("count");
    return Number(await answer);
  }

  async end(): Promise<void> {
    const gone = once(this.#child, "exit");
    this.#child.disconnect();
    await gone;
  }

  async #message(): Promise<unknown> {
    const gone = new AbortController();
    const abort = (code: number): void => gone.abort(new Error(`the client exited with code ${code}`));
    this.#child.once("exit", abort);
    const [message] = await once(this.#child, "message", { signal: gone.signal });
    this.#child.off("exit", abort);
    return message;
  }
}

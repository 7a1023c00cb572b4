import { randomUUID } from "node:crypto";
import { createServer as createHttpServer, type IncomingMessage, type ServerResponse } from "node:http";
import { connect, createServer, type Server, type Socket } from "node:net";
import type { SDKMessage } from "@anthropic-ai/claude-agent-sdk";
import { type Clock, systemClock } from "../../src/clock.ts";
import { HEADERS } from "../../src/cluster/http/http-headers.ts";
import { type RequestServer, type RequestServerOptions, serveRequests } from "../../src/cluster/http/http-server.ts";
import { type HttpTransportOptions, httpTransport } from "../../src/cluster/http/http-transport.ts";
import { digestOf, Keyring } from "../../src/cluster/http/signature.ts";
import type { CallAnswer, CallRequest, TurnFrame, TurnRequest } from "../../src/cluster/protocol/frames.ts";
import type { Destination, RequestHandler, Transport } from "../../src/cluster/protocol/transport.ts";

export const SECRET = "a secret that only tests know about";
export const BOOT = "boot-of-the-node";

export const TURN: TurnRequest = { key: '["global","a"]', turnId: "turn-1", messages: true, claim: false };
export const CALL: CallRequest = { key: '["global","a"]', method: "status", args: [], claim: false };

/** Returns a message with that text. */
function messageOf(text: string): SDKMessage {
  return { type: "user", message: { role: "user", content: text }, parent_tool_use_id: null };
}

export function messagesFrame(number: number, text = ""): TurnFrame {
  return { type: "messages", number, attempt: 1, messages: [messageOf(text)] };
}

/** Returns a handler with the given answers. */
function handlerOf(answers: Partial<RequestHandler>): RequestHandler {
  return {
    async *turn() {
      yield { type: "unknown" };
    },
    async call(): Promise<CallAnswer> {
      return { type: "answer", value: null };
    },
    async *events() {},
    ...answers,
  };
}

/** A queue of values that the test fills. Its reader waits for more. */
export class Channel<Value> {
  readonly #values: Value[] = [];
  #ended = false;
  #more = Promise.withResolvers<void>();
  readonly left = Promise.withResolvers<void>();

  push(...values: Value[]): void {
    this.#values.push(...values);
    this.#more.resolve();
  }

  end(): void {
    this.#ended = true;
    this.#more.resolve();
  }

  async *read(signal?: AbortSignal): AsyncGenerator<Value, void, undefined> {
    signal?.addEventListener("abort", () => this.#more.resolve());
    try {
      for (;;) {
        for (let value = this.#values.shift(); value !== undefined; value = this.#values.shift()) yield value;
        if (this.#ended || signal?.aborted === true) return;
        this.#more = Promise.withResolvers();
        await this.#more.promise;
      }
    } finally {
      this.left.resolve();
    }
  }
}

/** Opens servers and transports, and closes them after the test. */
export class HttpScene implements AsyncDisposable {
  readonly #closing: (() => Promise<unknown>)[] = [];

  async serve(handler: Partial<RequestHandler>, options: Partial<RequestServerOptions> = {}): Promise<RequestServer> {
    const listen = { host: "127.0.0.1", port: 0 };
    const known = { listen, secret: SECRET, clock: systemClock, boot: () => BOOT, release: "1.2.3", lingerMs: 0 };
    const server = await serveRequests(handlerOf(handler), { ...known, ...options });
    this.#closing.push(() => server.close());
    return server;
  }

  transport(options: Partial<HttpTransportOptions> = {}): Transport {
    const transport = httpTransport({ secret: SECRET, clock: systemClock, newId: randomUUID, ...options });
    this.#closing.push(() => transport.close());
    return transport;
  }

  /** Starts a node that sends arbitrary lines under the seal of a real one. */
  async serveRaw(lines: (response: ServerResponse) => void | Promise<void>): Promise<number> {
    const keyring = new Keyring(SECRET);
    return await this.serveForeign(async (request, response) => {
      await request.toArray();
      const nonce = String(request.headers[HEADERS.nonce]);
      response.writeHead(200, { [HEADERS.seal]: keyring.seal({ nonce, status: 200, digest: digestOf("") }) });
      await lines(response);
    });
  }

  /** Starts a server that is not part of the cluster. */
  async serveForeign(
    answer: (request: IncomingMessage, response: ServerResponse) => void | Promise<void>,
  ): Promise<number> {
    const server = createHttpServer((request, response) => void answer(request, response));
    this.#closing.push(async () => {
      server.closeAllConnections();
      server.close();
    });
    return await listening(server);
  }

  /** Starts a server that accepts connections and stays silent. */
  async serveSilent(): Promise<number> {
    const sockets: Socket[] = [];
    const server = createServer((socket) => sockets.push(socket.on("error", () => {})));
    this.#closing.push(async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
    });
    return await listening(server);
  }

  /** Starts a proxy to a port whose connections can be cut. */
  async wire(port: number): Promise<{ readonly port: number; cut(): void; readonly connections: () => number }> {
    const sockets: Socket[] = [];
    const server = createServer((from) => {
      const to = connect(port, "127.0.0.1");
      sockets.push(from, to);
      for (const [one, other] of [[from, to] as const, [to, from] as const]) {
        one.pipe(other);
        one.on("error", () => {}).on("close", () => other.destroy());
      }
    });
    const cut = (): void => {
      for (const socket of sockets) socket.destroy();
    };
    this.#closing.push(async () => {
      cut();
      server.close();
    });
    return { port: await listening(server), cut, connections: () => sockets.length / 2 };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const close of this.#closing.toReversed()) await close();
  }
}

export function at(port: number, destination: Partial<Destination> = {}): Destination {
  return { boot: BOOT, address: `http://127.0.0.1:${port}`, protocol: 1, ...destination };
}

/** Returns a signed request of which a test can change anything. */
export function signedRequest(
  body: string,
  changes: Partial<Record<"path" | "at" | "nonce" | "to" | "protocol" | "digest" | "secret", string>> = {},
): RequestInit & { readonly headers: Record<string, string> } {
  const { secret = SECRET, ...others } = changes;
  const signed = {
    method: "POST",
    path: "/castellan/v1/turn",
    at: String(Date.now()),
    nonce: randomUUID(),
    to: BOOT,
    protocol: "1",
    digest: digestOf(body),
    ...others,
  };
  const headers = Object.fromEntries(
    Object.entries(signed).flatMap(([name, value]) => (name in HEADERS ? [[`castellan-${name}`, value]] : [])),
  );
  return { method: "POST", body, headers: { ...headers, [HEADERS.signature]: new Keyring(secret).sign(signed) } };
}

/** Returns a clock that is ahead of the machine's. */
export function ahead(ms: number): Clock {
  return { ...systemClock, now: () => Date.now() + ms };
}

async function listening(server: Pick<Server, "listen" | "address">): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (typeof address !== "object" || address === null) throw new Error("the server does not listen");
  return address.port;
}

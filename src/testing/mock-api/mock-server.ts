import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import type { ChatCompletionRequest, Fixture, FixtureResponse } from "@copilotkit/aimock";
import { type MockAnswer, type MockFailure, toFixture } from "./mock-reply.ts";
import { type MockRequest, readRequest } from "./mock-request.ts";

/** A running aimock server. */
export interface MockServer {
  readonly url: string;
  stop(): Promise<void>;
}

type Headers = Readonly<Record<string, string>>;

/**
 * Starts aimock with one fixture that calls `answer`.
 *
 * @throws Error if the optional peer dependency `@copilotkit/aimock` is not installed.
 */
export async function startMockServer(
  port: number,
  answer: (request: MockRequest) => Promise<MockAnswer | MockFailure>,
): Promise<MockServer> {
  const { LLMock } = await loadAimock();
  const mock = new LLMock({ port, host: "127.0.0.1", logLevel: "silent", journalMaxEntries: 1 });
  const headers = new Map<string, Headers>();
  const sockets = new Set<Socket>();
  const stopping = new AbortController();
  let turn: Promise<void> = Promise.resolve();

  const fixture: Fixture = {
    match: { predicate: () => true },
    response: async (raw) => {
      const request = readRequest(raw, takeHeaders(headers, raw));
      const reply = await answer(request);
      if (reply.delayMs !== undefined) await delay(reply.delayMs, undefined, { signal: stopping.signal });
      const { response, pace } = toFixture(reply, request);
      return await paced(response, pace);
    },
  };

  /** aimock reads the pace from the fixture right after it gets the response, so only one answer at a time may set it. */
  const paced = async (response: FixtureResponse, pace: Partial<Fixture>): Promise<FixtureResponse> => {
    const before = turn;
    const { promise, resolve } = Promise.withResolvers<void>();
    turn = promise;
    await before;
    for (const key of ["chunkSize", "streamingProfile", "truncateAfterChunks"] as const) delete fixture[key];
    Object.assign(fixture, pace);
    setImmediate(resolve);
    return response;
  };

  mock.addFixture(fixture);
  mock.mount("/v1", {
    handleRequest: async (request, response, path) => {
      const { socket } = request;
      if (!sockets.has(socket)) socket.once("close", () => sockets.delete(socket));
      sockets.add(socket);
      return receive(headers, request, response, path);
    },
  });
  const url = await mock.start();
  let stopped: Promise<void> | undefined;
  const stop = async (): Promise<void> => {
    stopping.abort();
    const closed = mock.stop();
    // aimock would wait for the end of every streaming answer.
    for (const socket of sockets) socket.destroy();
    await closed;
  };
  return {
    url,
    stop: () => {
      stopped ??= stop();
      return stopped;
    },
  };
}

async function loadAimock(): Promise<typeof import("@copilotkit/aimock")> {
  try {
    return await import("@copilotkit/aimock");
  } catch (cause) {
    const what = 'mockApi() needs the package "@copilotkit/aimock", which is not installed';
    throw new Error(`${what}: npm install --save-dev @copilotkit/aimock`, { cause });
  }
}

/** aimock's header for test contexts. It links a request of the HTTP server to a call of the fixture. */
const KEY = "x-aimock-context";
let lastKey = 0;

/** Answers token counts, model lists and the like without aimock. Returns whether it did. */
function receive(
  headers: Map<string, Headers>,
  request: IncomingMessage,
  response: ServerResponse,
  path: string,
): boolean {
  if (path === "/messages" && request.method === "POST") {
    lastKey += 1;
    headers.set(String(lastKey), flatten(request.headers));
    request.headers[KEY] = String(lastKey);
    return false;
  }
  request.resume();
  response.writeHead(200, { "content-type": "application/json" });
  response.end(JSON.stringify(path === "/messages/count_tokens" ? { input_tokens: 1 } : { data: [] }));
  return true;
}

function takeHeaders(headers: Map<string, Headers>, raw: ChatCompletionRequest): Headers {
  const key = raw._context ?? "";
  const found = headers.get(key) ?? {};
  headers.delete(key);
  return found;
}

function flatten(headers: IncomingMessage["headers"]): Headers {
  return Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [name, Array.isArray(value) ? value.join(", ") : (value ?? "")]),
  );
}

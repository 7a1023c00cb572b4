import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { Milestones } from "../milestones.ts";
import { type MessagesAnswer, sendAnswer } from "./messages-answer.ts";
import { type MessagesRequest, readMessagesRequest } from "./messages-request.ts";
import type { MockApiOptions } from "./mock-api.ts";
import { makeMockHome } from "./mock-home.ts";

/** Returns the answer to a request. */
export type MessagesModel = (request: MessagesRequest) => MessagesAnswer | Promise<MessagesAnswer>;

/** A Messages API on this machine that keeps complete requests, with everything the real Claude Code needs to use it without a key. */
export interface MessagesApi extends AsyncDisposable {
  readonly url: string;
  /** The complete environment of the real binary: the API's URL, a fake key, separate directories, no telemetry. */
  readonly env: Readonly<Record<string, string>>;
  /** An empty working directory. */
  readonly cwd: string;
  /** The received requests, oldest first. */
  readonly requests: readonly MessagesRequest[];
  readonly lastRequest: MessagesRequest | undefined;
  /** The errors thrown by the model. Check that it is empty at the end of a test. */
  readonly errors: readonly unknown[];
  /** The current model; assign another one to change the answers. */
  model: MessagesModel;
  /** Resolves once the `n`-th request since the start has arrived, counted from 1. */
  requested(n: number): Promise<MessagesRequest>;
  /** Stops the server and removes the directories. End the processes that use them first. */
  stop(): Promise<void>;
}

/**
 * Starts a Messages API on 127.0.0.1 that keeps each request as Claude Code sent it, with reminders, attachments and headers. Use it to
 * test the exact input of the model. `mockApi` is shorter to use and hides those.
 *
 * @param model returns the answers. Default: repeats the user's last text
 *
 * @example
 * await using api = await messagesApi(() => ({ toolUses: [{ name: "Bash", input: { command: "ls" } }] }));
 * await using supervisor = await Supervisor.start([{ name: "a", env: api.env, cwd: api.cwd }]);
 */
export async function messagesApi(
  model: MessagesModel = repeat,
  { port = 0, retries = 0 }: MockApiOptions = {},
): Promise<MessagesApi> {
  const requests: MessagesRequest[] = [];
  const errors: unknown[] = [];
  const arrivals = new Milestones<MessagesRequest>();
  const stopping = new AbortController();
  let answers = model;
  const answerTo = async (request: MessagesRequest): Promise<MessagesAnswer> => {
    try {
      return await answers(request);
    } catch (error) {
      errors.push(error);
      // Claude Code does not retry after 400.
      return { error: { status: 400, message: `the model of messagesApi threw: ${String(error)}` } };
    }
  };
  const serve = async (incoming: IncomingMessage, response: ServerResponse): Promise<void> => {
    const raw = await text(incoming);
    const { pathname } = new URL(incoming.url ?? "/", "http://127.0.0.1");
    if (incoming.method !== "POST" || pathname !== "/v1/messages") {
      response.writeHead(200, { "content-type": "application/json" });
      response.end(JSON.stringify(pathname.endsWith("/count_tokens") ? { input_tokens: 1 } : { data: [] }));
      return;
    }
    const request = readMessagesRequest(raw, incoming.headers);
    requests.push(request);
    arrivals.reach(request);
    await sendAnswer(response, await answerTo(request), request.body, stopping.signal);
  };
  const server = createServer((incoming, response) => {
    // A disconnected client or a stopped server ends the answer; there is nobody to notify.
    serve(incoming, response).catch(() => response.destroy());
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", resolve);
  });
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const home = await makeMockHome(url, retries);
  let stopped: Promise<void> | undefined;
  const stop = async (): Promise<void> => {
    stopping.abort();
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    server.closeAllConnections();
    await closed;
    await home.remove();
  };
  const stopOnce = (): Promise<void> => {
    stopped ??= stop();
    return stopped;
  };
  return {
    url,
    env: home.env,
    cwd: home.cwd,
    requests,
    errors,
    get lastRequest() {
      return requests.at(-1);
    },
    get model() {
      return answers;
    },
    set model(next) {
      answers = next;
    },
    requested: (n) => arrivals.reached(n),
    stop: stopOnce,
    [Symbol.asyncDispose]: stopOnce,
  };
}

function repeat({ texts }: MessagesRequest): MessagesAnswer {
  return { text: `You said: ${texts.findLast(({ role }) => role === "user")?.text ?? ""}` };
}

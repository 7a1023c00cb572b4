import { Milestones } from "../milestones.ts";
import { makeMockHome } from "./mock-home.ts";
import { type MockAnswer, type MockFailure, type MockMatcher, type MockResponse, matches } from "./mock-reply.ts";
import { type MockRequest, previousPrompt } from "./mock-request.ts";
import { startMockServer } from "./mock-server.ts";

/** Options of {@link mockApi}. */
export interface MockApiOptions {
  /** The port. Default: a free one. */
  readonly port?: number;
  /** The number of Claude Code's retries after an API error, with growing delays. Default: 0. */
  readonly retries?: number;
}

/** A model API on this machine, with everything the real Claude Code needs to use it without a key. */
export interface MockApi extends AsyncDisposable {
  readonly url: string;
  /** The complete environment of the real binary: the API's URL, a fake key, separate directories, no telemetry. */
  readonly env: Readonly<Record<string, string>>;
  /** An empty working directory. */
  readonly cwd: string;
  /** The received requests, oldest first. */
  readonly requests: readonly MockRequest[];
  readonly lastRequest: MockRequest | undefined;
  /** The errors thrown by functions passed to `reply`. Check that it is empty at the end of a test. */
  readonly errors: readonly unknown[];
  /**
   * Sets the reply to matching requests. If several match, the last one set applies.
   *
   * @param options.times how many times the reply applies. Default: always
   *
   * @example
   * api.reply("weather", "It rains.");
   * api.reply("list", { toolUses: [{ name: "Bash", input: { command: "ls" } }] });
   * api.reply(/./, { error: { status: 529, message: "Overloaded" } }, { times: 1 });
   */
  reply(matcher: MockMatcher, response: MockResponse, options?: { readonly times?: number }): void;
  /** Resolves once the `n`-th request since the start or the last `clear` has arrived, counted from 1. */
  requested(n: number): Promise<MockRequest>;
  /** Removes all replies, requests and errors. */
  clear(): void;
  /** Stops the server and removes the directories. End the processes that use them first. */
  stop(): Promise<void>;
}

interface Rule {
  readonly matcher: MockMatcher;
  readonly response: MockResponse;
  left: number;
}

/**
 * Starts a model API on 127.0.0.1 for the real Claude Code. Without a matching `reply` it repeats the prompt. To "What did I just say?" it
 * repeats the previous prompt, which it knows only from the conversation in the request.
 *
 * @throws Error if the optional peer dependency `@copilotkit/aimock` is not installed.
 *
 * @example
 * await using api = await mockApi();
 * api.reply("capital of France", "Paris");
 * const answers = query({
 *   prompt: "What is the capital of France?",
 *   options: { env: api.env, cwd: api.cwd, settingSources: [] },
 * });
 */
export async function mockApi(options: MockApiOptions = {}): Promise<MockApi> {
  const rules: Rule[] = [];
  const requests: MockRequest[] = [];
  const errors: unknown[] = [];
  let arrivals = new Milestones<MockRequest>();
  const server = await startMockServer(options.port ?? 0, async (request) => {
    requests.push(request);
    arrivals.reach(request);
    try {
      return await findReply(rules, request);
    } catch (error) {
      errors.push(error);
      // Claude Code does not retry after 400.
      return { error: { status: 400, message: `a reply of mockApi threw: ${String(error)}` } };
    }
  });
  const home = await makeMockHome(server.url, options.retries ?? 0);
  const stop = async (): Promise<void> => {
    await server.stop();
    await home.remove();
  };
  return {
    url: server.url,
    env: home.env,
    cwd: home.cwd,
    requests,
    errors,
    get lastRequest() {
      return requests.at(-1);
    },
    reply: (matcher, response, { times = Number.POSITIVE_INFINITY } = {}) => {
      rules.unshift({ matcher, response, left: times });
    },
    requested: (n) => arrivals.reached(n),
    clear: () => {
      for (const list of [rules, requests, errors]) list.length = 0;
      arrivals = new Milestones();
    },
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

async function findReply(rules: Rule[], request: MockRequest): Promise<MockAnswer | MockFailure> {
  const rule = rules.find(({ matcher, left }) => left > 0 && matches(matcher, request));
  if (rule !== undefined) rule.left -= 1;
  const response = rule?.response ?? defaultReply;
  const reply = typeof response === "function" ? await response(request) : response;
  return typeof reply === "string" ? { text: reply } : reply;
}

function defaultReply(request: MockRequest): string {
  if (request.toolResults.length > 0) return `The tool said: ${request.toolResults.map(({ text }) => text).join("\n")}`;
  if (!/what did i just say/i.test(request.prompt)) return `You said: ${request.prompt}`;
  const previous = previousPrompt(request);
  return previous === undefined ? "You have not said anything yet." : `You just said: ${previous}`;
}

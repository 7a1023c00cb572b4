import { Milestones } from "../milestones.ts";
import { makeMockHome } from "./mock-home.ts";
import { type MockAnswer, type MockFailure, type MockMatcher, type MockResponse, matches } from "./mock-reply.ts";
import { type MockRequest, previousPrompt } from "./mock-request.ts";
import { startMockServer } from "./mock-server.ts";

/** How the mock API is started. */
export interface MockApiOptions {
  /** Default: a free one. */
  readonly port?: number;
  /** How often Claude Code tries again after an error of the API, each time after a growing pause. Default: 0. */
  readonly retries?: number;
}

/** A model API on this machine, and everything the real Claude Code needs to use it without a key. */
export interface MockApi extends AsyncDisposable {
  readonly url: string;
  /** The whole environment for the real binary: the API's address, a key, directories of its own, nothing that phones home. */
  readonly env: Readonly<Record<string, string>>;
  /** A working directory of its own, empty. */
  readonly cwd: string;
  /** What was asked, oldest first. */
  readonly requests: readonly MockRequest[];
  readonly lastRequest: MockRequest | undefined;
  /** What functions given to `reply` have thrown. Check that it is empty at the end of a test. */
  readonly errors: readonly unknown[];
  /**
   * Says what is answered to whom; of several replies that fit, the one given last counts.
   *
   * @param options.times How often the reply is given before it no longer counts. Default: always.
   *
   * @example
   * api.reply("weather", "It rains.");
   * api.reply("list", { toolUses: [{ name: "Bash", input: { command: "ls" } }] });
   * api.reply(/./, { error: { status: 529, message: "Overloaded" } }, { times: 1 });
   */
  reply(matcher: MockMatcher, response: MockResponse, options?: { readonly times?: number }): void;
  /** Resolves when the `n`-th request since the start or the last `clear` has arrived, counted from 1; at once if it has. */
  requested(n: number): Promise<MockRequest>;
  /** Forgets all replies, requests and errors. */
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
 * Starts a model API on 127.0.0.1 that the real Claude Code can talk to. What no `reply` is for, it answers by itself: it repeats the
 * prompt, and asked "What did I just say?" it repeats the prompt before, which it can only know from the conversation that it was sent.
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
      // 400 is an answer that Claude Code does not try to get a second time.
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

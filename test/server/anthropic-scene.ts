import { Anthropic } from "@anthropic-ai/sdk";
import type { ChildOptions } from "../../src/application/options/child-options.ts";
import type { SupervisorOptions } from "../../src/application/options/supervisor-options.ts";
import type { Supervisor } from "../../src/application/supervisor.ts";
import { memoryJournal } from "../../src/journal/memory/memory-journal.ts";
import type { Journal } from "../../src/journal/model/journal.ts";
import { type ServerHandler, serverHandler } from "../../src/server/handler.ts";
import type { Caller } from "../../src/server/http/caller.ts";
import { SCOPES } from "../../src/server/http/caller.ts";
import { type FakeClaude, type FakeScript, fakeClaude } from "../../src/testing/index.ts";
import { run } from "../session-on-fake/application.ts";

type StreamEvent = Anthropic.Beta.Sessions.BetaManagedAgentsStreamSessionEvents;

/** What a test changes on the way between the client and the server. */
export type Wire = (request: Request, next: (request: Request) => Promise<Response>) => Promise<Response>;

/** Everybody, with all scopes. */
const EVERYBODY: Caller = { id: "tester", scopes: new Set(SCOPES) };

/** An application with a server, and Anthropic's own client of it. The application can be restarted; the client stays. */
export class AnthropicScene implements AsyncDisposable {
  readonly client: Anthropic;
  readonly fake: FakeClaude;
  readonly journal: Journal = memoryJournal();
  /** The requests, as `POST /v1/sessions 200`. */
  readonly log: string[] = [];
  caller: Caller = EVERYBODY;
  wire: Wire = (request, next) => next(request);
  #supervisor: Supervisor | undefined;
  #handler: ServerHandler | undefined;
  readonly #children: readonly ChildOptions[];
  readonly #options: SupervisorOptions;

  private constructor(script: FakeScript | undefined, children: readonly ChildOptions[], options: SupervisorOptions) {
    this.fake = fakeClaude(script);
    this.#children = children;
    this.#options = options;
    this.client = new Anthropic({
      apiKey: "test",
      baseURL: "http://127.0.0.1/anthropic",
      maxRetries: 2,
      fetch: async (input, init) => await this.#fetch(new Request(input, init)),
    });
  }

  static async start(
    children: readonly ChildOptions[],
    { script, ...options }: SupervisorOptions & { readonly script?: FakeScript } = {},
  ): Promise<AnthropicScene> {
    const scene = new AnthropicScene(script, children, options);
    await scene.#start();
    return scene;
  }

  get supervisor(): Supervisor {
    if (this.#supervisor === undefined) throw new Error("not started");
    return this.#supervisor;
  }

  /** The sessions of the client. */
  get sessions(): Anthropic.Beta.Sessions {
    return this.client.beta.sessions;
  }

  /** Creates a session of this agent. */
  async create(
    agent: string,
    params: Partial<Anthropic.Beta.Sessions.SessionCreateParams> = {},
  ): Promise<Anthropic.Beta.Sessions.BetaManagedAgentsSession> {
    return await this.sessions.create({ agent, environment_id: "env_local", ...params });
  }

  /** Stops the application and starts it again over the same journal. */
  async restart(): Promise<void> {
    this.#handler?.drain();
    await this.#supervisor?.stop();
    await this.#start();
  }

  async #start(): Promise<void> {
    this.#supervisor = await run({ fake: this.fake, journal: this.journal }, this.#children, this.#options);
    this.#handler = serverHandler(this.#supervisor, { authenticate: () => this.caller, hosts: ["127.0.0.1"] });
  }

  async #fetch(request: Request): Promise<Response> {
    const { pathname } = new URL(request.url);
    const response = await this.wire(request, async (one) => {
      if (this.#handler === undefined) throw new Error("not started");
      return await this.#handler(one);
    });
    this.log.push(`${request.method} ${pathname} ${response.status}`);
    if (response.body === null) return response;
    // As over a network: the client ends the response by its signal.
    const body = response.body.pipeThrough(new TransformStream(), { signal: request.signal });
    return new Response(body, response);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#handler?.drain();
    await this.#supervisor?.stop();
  }
}

/** Returns a message of a client. */
export function message(text: string): Anthropic.Beta.Sessions.BetaManagedAgentsUserMessageEventParams {
  return { type: "user.message", content: [{ type: "text", text }] };
}

/** Reads a stream until the session is idle for another reason than that it waits for the client. */
export async function untilIdle(stream: AsyncIterable<StreamEvent>): Promise<StreamEvent[]> {
  return await until(stream, (event) => isIdle(event) && event.stop_reason.type !== "requires_action");
}

/** Reads a stream until this event, included. */
export async function until(
  stream: AsyncIterable<StreamEvent>,
  isLast: (event: StreamEvent) => boolean,
): Promise<StreamEvent[]> {
  const events: StreamEvent[] = [];
  for await (const event of stream) {
    events.push(event);
    if (isLast(event)) return events;
  }
  return events;
}

export function isIdle(event: StreamEvent): event is Extract<StreamEvent, { type: "session.status_idle" }> {
  return event.type === "session.status_idle";
}

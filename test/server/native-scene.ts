import { isDeepStrictEqual } from "node:util";
import { createParser } from "eventsource-parser";
import type { ChildOptions } from "../../src/application/options/child-options.ts";
import type { SupervisorOptions } from "../../src/application/options/supervisor-options.ts";
import type { Supervisor } from "../../src/application/supervisor.ts";
import { CastellanClient } from "../../src/client/client.ts";
import type { ClientOptions } from "../../src/client/client-options.ts";
import { memoryJournal } from "../../src/journal/memory/memory-journal.ts";
import type { Journal } from "../../src/journal/model/journal.ts";
import { type Caller, SCOPES } from "../../src/server/http/caller.ts";
import { type ListeningServer, listen } from "../../src/server/listen.ts";
import type { Operation } from "../../src/server/native/operation.ts";
import { OPERATIONS } from "../../src/server/native/operations.ts";
import type { ListenOptions } from "../../src/server/server-options.ts";
import { type FakeClaude, fakeClaude } from "../../src/testing/index.ts";
import { run } from "../session-on-fake/application.ts";

/** A caller with all scopes, in tests. */
export const OPERATOR: Caller = { id: "operator", scopes: new Set(SCOPES) };

interface Setting {
  readonly children?: readonly ChildOptions[];
  readonly supervisor?: SupervisorOptions;
  readonly fake?: FakeClaude;
  readonly journal?: Journal;
  readonly server?: ListenOptions;
  /** The callers by token. Default: `operator`, who may do everything. */
  readonly callers?: Readonly<Record<string, Caller>>;
}

/** A supervisor on a fake behind a listening server, and clients whose answers are checked against the schemas. */
export class NativeScene implements AsyncDisposable {
  readonly fake: FakeClaude;
  readonly supervisor: Supervisor;
  readonly server: ListeningServer;
  /** The operations that a client has used with success. */
  readonly used = new Set<string>();
  /** Answers that do not have the form that the API describes. */
  readonly wrong: unknown[] = [];

  readonly #options: ListenOptions;

  private constructor(fake: FakeClaude, supervisor: Supervisor, server: ListeningServer, options: ListenOptions) {
    this.fake = fake;
    this.supervisor = supervisor;
    this.server = server;
    this.#options = options;
  }

  static async start(setting: Setting = {}): Promise<NativeScene> {
    const { children = [{ name: "assistant" }], fake = fakeClaude(), journal = memoryJournal() } = setting;
    const callers: Readonly<Record<string, Caller>> = setting.callers ?? { operator: OPERATOR };
    const supervisor = await run({ fake, journal }, children, setting.supervisor);
    const options: ListenOptions = {
      tokens: false,
      authenticate: ({ headers }) => callers[headers.get("authorization")?.slice("Bearer ".length) ?? ""],
      ...setting.server,
    };
    return new NativeScene(fake, supervisor, await listen(supervisor, options), options);
  }

  /** Returns a client whose answers are checked. */
  client(token = "operator", options: Partial<ClientOptions> = {}): CastellanClient {
    return new CastellanClient({
      url: this.server.url,
      token,
      fetch: (url, init) => this.#fetch(url, init),
      ...options,
    });
  }

  /** Starts another server of the same supervisor, which the caller closes. */
  async another(): Promise<ListeningServer> {
    return await listen(this.supervisor, this.#options);
  }

  /** Makes a request without the client. */
  async request(path: string, init: RequestInit = {}, token = "operator"): Promise<Response> {
    return await fetch(`${this.server.url}/castellan/v1${path}`, {
      ...init,
      headers: { authorization: `Bearer ${token}`, ...init.headers },
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.server.drain();
    await this.server.close();
    await this.supervisor.stop();
  }

  async #fetch(url: string, init: RequestInit): Promise<Response> {
    const response = await fetch(url, init);
    const operation = operationOf(init.method ?? "GET", new URL(url).pathname);
    if (operation === undefined || !response.ok) return response;
    this.used.add(operation.id);
    const { status, contentType, schema } = operation.answer;
    if (response.status !== status) this.wrong.push({ operation: operation.id, status: response.status });
    if (contentType === "application/json") {
      this.#check(operation, await response.clone().json());
      return response;
    }
    if (contentType !== "text/event-stream" || response.body === null) return response;
    const parser = createParser({
      onEvent: ({ event, data }) => {
        if (OWN.has(event ?? "") && schema.safeParse(JSON.parse(data)).success === false) return;
        this.#check(operation, JSON.parse(data));
      },
    });
    const decoder = new TextDecoder();
    const watching = new TransformStream<Uint8Array, Uint8Array>({
      transform(chunk, controller) {
        parser.feed(decoder.decode(chunk, { stream: true }));
        controller.enqueue(chunk);
      },
    });
    return new Response(response.body.pipeThrough(watching), response);
  }

  #check({ id, answer }: Operation, body: unknown): void {
    const parsed = answer.schema.safeParse(body);
    // A parsed object lacks the fields that its schema does not describe.
    if (!parsed.success) this.wrong.push({ operation: id, body, issues: parsed.error.issues });
    else if (!isDeepStrictEqual(parsed.data, body)) this.wrong.push({ operation: id, body, described: parsed.data });
  }
}

/** The events of streams that are no events of the session or the supervisor. */
const OWN: ReadonlySet<string> = new Set(["ping", "opened", "reconnect", "ended", "lost"]);

function operationOf(method: string, path: string): Operation | undefined {
  const below = path.slice("/castellan/v1".length);
  return OPERATIONS.find((one) => {
    const pattern = new RegExp(`^${one.path.replace(/\{\w+\}/g, "[^/]+")}$`);
    return one.method.toUpperCase() === method && pattern.test(below);
  });
}

/** Resolves with the first value for which `isWanted` holds. Ends the iteration. */
export async function first<Value>(values: AsyncIterable<Value>, isWanted: (value: Value) => boolean): Promise<Value> {
  for await (const value of values) if (isWanted(value)) return value;
  throw new Error("The iteration has ended without the value.");
}

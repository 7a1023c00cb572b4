import type {
  Approval,
  ApprovalHistory,
  ApprovalHistoryQuery,
  ApprovalList,
  ApproveTool,
  PastApproval,
  SettledApproval,
} from "../wire/approval.ts";
import type { EraseSession, ErasureReport } from "../wire/erasure.ts";
import type {
  ContentReference,
  EventPage,
  EventPageQuery,
  EventStreamQuery,
  SessionEvent,
} from "../wire/event-types.ts";
import type { WireName } from "../wire/name.ts";
import type { WirePrompt } from "../wire/prompt.ts";
import type { CreateSchedule, Schedule, ScheduleList } from "../wire/schedule.ts";
import type {
  ConversationChoice,
  DescribeSession,
  ForkSession,
  SessionHealth,
  SessionInfo,
  TouchAnswer,
} from "../wire/session.ts";
import type { SessionInspection } from "../wire/session-inspection.ts";
import type { EnqueueTurn, Reply } from "../wire/turn.ts";
import type { SessionUsageQuery, UsageAnswer, UsageReport } from "../wire/usage.ts";
import type { RequestOptions } from "./client-options.ts";
import type { Connection } from "./connection.ts";
import { eventStream } from "./event-stream.ts";
import { linesOf } from "./lines.ts";
import { nameText, newKey } from "./request-path.ts";
import { LONG_MS, replyOf, TurnsClient, type WaitOptions } from "./turns-client.ts";

/** Options of a turn. */
export interface EnqueueOptions extends RequestOptions, Omit<EnqueueTurn, "prompt" | "timeout"> {
  /** How long the turn may take: milliseconds, or a duration such as `"10m"`. Default: the session's option. */
  readonly turnTimeout?: EnqueueTurn["timeout"];
}

/** Options of a schedule. */
export interface ScheduleOptions extends RequestOptions, Omit<CreateSchedule, "prompt" | "timeout"> {
  /** As {@link EnqueueOptions.turnTimeout}. */
  readonly turnTimeout?: CreateSchedule["timeout"];
}

/** Options of a stream of events. */
export interface StreamOptions {
  /** Aborting it ends the iteration, which throws the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

/** A large or binary content of an event. */
export interface EventContent {
  readonly mediaType: string;
  readonly data: Uint8Array;
}

/** A session of the server, whether or not it exists. Every method throws {@link CastellanApiError}. */
export class SessionClient extends TurnsClient {
  readonly name: WireName;

  /** @internal Made by a client. */
  constructor(connection: Connection, name: WireName) {
    super(connection, ["sessions", nameText(name)]);
    this.name = name;
  }

  /** Returns the session as the server knows it. Brings none into memory. */
  async get(options: RequestOptions = {}): Promise<SessionInfo> {
    return await this.#read([], options);
  }

  /** Changes the title and labels, and archives the session. */
  async describe(description: DescribeSession, options: RequestOptions = {}): Promise<SessionInfo> {
    const request = { method: "PATCH", path: this.path([]), body: description, idempotent: true } as const;
    return await this.connection.json({ ...options, ...request });
  }

  /** Starts a session with a copy of this conversation. */
  async fork(fork: ForkSession, options: RequestOptions = {}): Promise<SessionInfo> {
    return await this.#do("fork", fork, options, false);
  }

  /** Ends the process, even during a turn, and starts another one. Brings back a quarantined session. */
  async restart(choice: ConversationChoice = {}, options: RequestOptions = {}): Promise<SessionInfo> {
    return await this.#do("restart", choice, options, false);
  }

  /** Ends the process of an idle session, and keeps the session. */
  async hibernate(options: RequestOptions = {}): Promise<SessionInfo> {
    return await this.#do("hibernate", undefined, options, true);
  }

  /** Starts a process for a hibernated session. */
  async wake(options: RequestOptions = {}): Promise<SessionInfo> {
    return await this.#do("wake", undefined, options, true);
  }

  /**
   * Begins to start the session's process ahead of its next turn, for example when a user opens its page. Does not wait for the
   * process.
   */
  async touch(options: RequestOptions = {}): Promise<TouchAnswer> {
    return await this.#do("touch", undefined, options, true);
  }

  /** Stops the running turn, if any. Waiting turns continue. */
  async interrupt(options: RequestOptions = {}): Promise<SessionInfo> {
    return await this.#do("interrupt", undefined, options, false);
  }

  /** Begins an empty conversation under the same name. */
  async clear(options: RequestOptions = {}): Promise<SessionInfo> {
    return await this.#do("clear", undefined, options, false);
  }

  /** Ends the session and its turns. A later session of the name resumes the conversation, unless it is cleared. */
  async stop(choice: ConversationChoice = {}, options: RequestOptions = {}): Promise<void> {
    await this.#do("stop", choice, options, false);
  }

  /** Ends the session and forgets its conversations. Only the spending is kept. */
  async delete(options: RequestOptions = {}): Promise<void> {
    const request = { method: "DELETE", path: this.path([]), idempotent: false, defaultTimeout: LONG_MS } as const;
    await this.connection.json({ ...options, ...request });
  }

  /** Erases all data of the session, and reports the remainder. */
  async erase(erase: EraseSession = {}, options: RequestOptions = {}): Promise<ErasureReport> {
    return await this.#do("erase", erase, options, true);
  }

  /** Moves a global session to another node. */
  async move(node: string, options: RequestOptions = {}): Promise<SessionInfo> {
    return await this.#do("move", { node }, options, true);
  }

  /** Yields the data that {@link SessionClient.erase} would erase, as lines of JSON. Throws if the export breaks off. */
  async *export({ signal }: StreamOptions = {}): AsyncGenerator<string, void, undefined> {
    const leaving = new AbortController();
    const ends = signal === undefined ? leaving.signal : AbortSignal.any([signal, leaving.signal]);
    try {
      yield* linesOf(await this.connection.stream({ method: "GET", path: this.path(["export"]) }, ends));
    } catch (error) {
      signal?.throwIfAborted();
      throw this.connection.failure(error);
    } finally {
      leaving.abort();
    }
  }

  /** Checks whether the session works. */
  async health(options: RequestOptions = {}): Promise<SessionHealth> {
    return await this.#read(["health"], options);
  }

  /** Returns the options of the session with their origins, its budget, and its last exits. Starts no process. */
  async inspect(options: RequestOptions = {}): Promise<SessionInspection> {
    return await this.#read(["inspection"], options);
  }

  /** Reconnects an MCP server of the process. `status.mcpServers` tells the result. Wakes a hibernated session. */
  async reconnectMcpServer(server: string, options: RequestOptions = {}): Promise<void> {
    await this.#ofServer(server, "reconnect", undefined, options);
  }

  /** Enables or disables an MCP server of the process. Wakes a hibernated session. */
  async toggleMcpServer(server: string, enabled: boolean, options: RequestOptions = {}): Promise<void> {
    await this.#ofServer(server, "toggle", { enabled }, options);
  }

  /** Reports the session's spending. */
  async usage(
    { since, until, by, label }: SessionUsageQuery = {},
    options: RequestOptions = {},
  ): Promise<readonly UsageReport[]> {
    const path = this.path(["usage"], { since, until, by, label });
    return (await this.connection.json<UsageAnswer>({ ...options, method: "GET", path, idempotent: true })).reports;
  }

  /**
   * Gives the session a prompt, and returns the turn's id once the turn is in the journal. The name of a template's session creates it.
   * Repeats the request safely: without an `idempotencyKey` it makes one.
   */
  async enqueue(prompt: WirePrompt, options: EnqueueOptions = {}): Promise<string> {
    const { signal, timeout, turnTimeout, idempotencyKey = newKey(), ...own } = options;
    // A turn that another one takes a message of has no key.
    const key = own.whenBusy === "steer" && options.idempotencyKey === undefined ? undefined : idempotencyKey;
    const body = { ...own, prompt, idempotencyKey: key, timeout: turnTimeout };
    const path = this.path(["turns"]);
    const request = { method: "POST", path, body, idempotent: key !== undefined, signal, timeout } as const;
    return (await this.connection.json<{ readonly id: string }>(request)).id;
  }

  /**
   * Gives the session a prompt, and waits for the reply.
   *
   * @param options.wait how long to wait, in milliseconds. Default: until the turn ends
   * @throws CastellanApiError why the turn was not accepted or did not complete; `REQUEST_TIMEOUT` after `wait`
   * @example
   * const { text } = await client.session("reviewer").query("Review this function: …");
   */
  async query(
    prompt: WirePrompt,
    options: EnqueueOptions & { readonly wait?: WaitOptions["timeout"] } = {},
  ): Promise<Reply> {
    const { wait, ...request } = options;
    const { signal, timeout, turnTimeout, idempotencyKey = newKey(), ...own } = request;
    // A turn that another one takes a message of has no key, so that its request cannot be repeated.
    if (own.whenBusy === "steer" && options.idempotencyKey === undefined) {
      return replyOf(await this.wait(await this.enqueue(prompt, request), { signal, timeout: wait }));
    }
    const body = { ...own, prompt, idempotencyKey, timeout: turnTimeout };
    return replyOf(await this.submit(body, { signal, timeout, wait }));
  }

  /** Lists the prompts that run later, the next first. */
  async schedules(options: RequestOptions = {}): Promise<readonly Schedule[]> {
    return (await this.#read<ScheduleList>(["schedules"], options)).schedules;
  }

  /** Runs a prompt later, or again and again. Returns the schedule's id. Repeats the request safely, with a key. */
  async schedule(prompt: WirePrompt, options: ScheduleOptions): Promise<string> {
    const { signal, timeout, turnTimeout, idempotencyKey = newKey(), ...own } = options;
    const body = { ...own, prompt, idempotencyKey, timeout: turnTimeout };
    const request = {
      method: "POST",
      path: this.path(["schedules"]),
      body,
      idempotent: true,
      signal,
      timeout,
    } as const;
    return (await this.connection.json<{ readonly id: string }>(request)).id;
  }

  /** Cancels a schedule. Returns whether there was one. */
  async cancelSchedule(id: string, options: RequestOptions = {}): Promise<boolean> {
    const request = { method: "DELETE", path: this.path(["schedules", id]), idempotent: true } as const;
    return (await this.connection.json<{ readonly cancelled: boolean }>({ ...options, ...request })).cancelled;
  }

  /** Returns a page of the session's recorded events. */
  async pastEvents(query: EventPageQuery = {}, options: RequestOptions = {}): Promise<EventPage> {
    const { before, after, types, turn, limit } = query;
    const path = this.path(["events"], { before, after, types, turn, limit });
    return await this.connection.json({ ...options, method: "GET", path, idempotent: true });
  }

  /**
   * Yields the session's events: by default from the server's answer on, until the session ends. Continues after the last
   * event that was yielded when the connection breaks or the server restarts, without gap or repetition of recorded events.
   *
   * @throws CastellanApiError why the server refuses the stream, or `SERVER_UNREACHABLE` after the client's `patience`
   * @example
   * for await (const event of client.session("assistant").events({ deltas: true })) {
   *   if (event.type === "text_delta") process.stdout.write(event.text);
   * }
   */
  async *events(
    query: EventStreamQuery = {},
    { signal }: StreamOptions = {},
  ): AsyncGenerator<SessionEvent, void, undefined> {
    const { after, types, turn, deltas } = query;
    const path = this.path(["events", "stream"], { after, types, turn, deltas });
    for await (const { event, data } of eventStream(this.connection, path, signal)) {
      if (event !== "opened") yield JSON.parse(data) as SessionEvent;
    }
  }

  /** Returns a large text or binary data that an event refers to. */
  async content({ $content }: Pick<ContentReference, "$content">, options: RequestOptions = {}): Promise<EventContent> {
    const path = this.path(["contents", $content]);
    return await this.connection.bytes({ ...options, method: "GET", path, idempotent: true });
  }

  /** Lists the pending permission requests, the oldest first. */
  async approvals(options: RequestOptions = {}): Promise<readonly Approval[]> {
    return (await this.#read<ApprovalList>(["approvals"], options)).approvals;
  }

  /** Lists the latest permission requests and their answers, the newest first. */
  async approvalHistory(
    { limit }: ApprovalHistoryQuery = {},
    options: RequestOptions = {},
  ): Promise<readonly PastApproval[]> {
    const path = this.path(["approvals", "history"], { limit });
    return (await this.connection.json<ApprovalHistory>({ ...options, method: "GET", path, idempotent: true }))
      .approvals;
  }

  /** Lets a tool run, on request with another input or with rules for the future, or answers Claude's questions. */
  async approve(id: string, changes: ApproveTool = {}, options: RequestOptions = {}): Promise<SettledApproval> {
    const path = this.path(["approvals", id, "approve"]);
    return await this.connection.json({ ...options, method: "POST", path, body: changes, idempotent: true });
  }

  /** Denies a tool, and tells Claude why. */
  async deny(id: string, message?: string, options: RequestOptions = {}): Promise<SettledApproval> {
    const path = this.path(["approvals", id, "deny"]);
    return await this.connection.json({ ...options, method: "POST", path, body: { message }, idempotent: true });
  }

  async #read<Answer>(parts: readonly string[], options: RequestOptions): Promise<Answer> {
    return await this.connection.json({ ...options, method: "GET", path: this.path(parts), idempotent: true });
  }

  async #ofServer(server: string, verb: string, body: object | undefined, options: RequestOptions): Promise<void> {
    const path = this.path(["mcp-servers", server, verb]);
    const request = { method: "POST", path, body, idempotent: true, defaultTimeout: LONG_MS } as const;
    await this.connection.json({ ...options, ...request });
  }

  async #do<Answer>(
    verb: string,
    body: object | undefined,
    options: RequestOptions,
    idempotent: boolean,
  ): Promise<Answer> {
    const request = { method: "POST", path: this.path([verb]), body, idempotent, defaultTimeout: LONG_MS } as const;
    return await this.connection.json({ ...options, ...request });
  }
}

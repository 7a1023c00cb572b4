import type { Approval, ApprovalList, ApprovalListQuery } from "../wire/approval.ts";
import type { BudgetList, BudgetReport } from "../wire/budget.ts";
import type {
  GlobalSessionInfo,
  GlobalSessionListQuery,
  GlobalSessionPage,
  MovedSession,
  MovedSessions,
  NodeInfo,
  NodeList,
  RebalanceCluster,
} from "../wire/cluster.ts";
import type { WireName } from "../wire/name.ts";
import type { PoolList, PoolStatus } from "../wire/pool.ts";
import type { CreateSession, SessionInfo, SessionListQuery, SessionPage } from "../wire/session.ts";
import type { StorageReport } from "../wire/storage.ts";
import type { CapacityStatus, DrainReport, DrainSupervisor, ServerInfo, SupervisorHealth } from "../wire/supervisor.ts";
import type { SupervisorEvent, SupervisorEventQuery } from "../wire/supervisor-event.ts";
import type { ChildList, Tree, TreeQuery } from "../wire/tree.ts";
import type { UsageAnswer, UsageQuery, UsageReport } from "../wire/usage.ts";
import type { Webhook, WebhookList, WebhookTest } from "../wire/webhook.ts";
import { type ClientOptions, clientSettings, type RequestOptions } from "./client-options.ts";
import { Connection } from "./connection.ts";
import { eventStream } from "./event-stream.ts";
import { PoolClient } from "./pool-client.ts";
import { listParameters, nameText, pathOf, type QueryValues } from "./request-path.ts";
import { SessionClient, type StreamOptions } from "./session-client.ts";
import { LONG_MS } from "./turns-client.ts";

/**
 * A client of Castellan's HTTP API. Holds no connection, so it needs no close. Retries requests after
 * transient failures where a retry is safe: reads, and requests with an idempotency key.
 *
 * @example
 * const client = new CastellanClient({ url: "http://127.0.0.1:4870", token });
 * const { text } = await client.session(["support", 42]).query("Hello");
 */
export class CastellanClient {
  readonly #connection: Connection;

  /** @throws TypeError if `url` is no URL of HTTP */
  constructor(options: ClientOptions) {
    this.#connection = new Connection(clientSettings(options));
  }

  /** Returns the session of this name. Does no I/O. */
  session(name: WireName): SessionClient {
    return new SessionClient(this.#connection, name);
  }

  /** Returns the pool of this name. Does no I/O. */
  pool(name: string): PoolClient {
    return new PoolClient(this.#connection, ["pools", name]);
  }

  /** Returns facts about the server, and the caller's rights. */
  async server(options: RequestOptions = {}): Promise<ServerInfo> {
    return await this.#read(["server"], {}, options);
  }

  /** Returns a page of sessions, by name. */
  async listSessions(query: SessionListQuery = {}, options: RequestOptions = {}): Promise<SessionPage> {
    return await this.#read(["sessions"], listParameters(query), options);
  }

  /** Yields all sessions, by name. */
  async *sessions(
    query: Omit<SessionListQuery, "after"> = {},
    options: RequestOptions = {},
  ): AsyncGenerator<SessionInfo, void, undefined> {
    for (let after: SessionListQuery["after"]; ; ) {
      const page = await this.listSessions({ ...query, after }, options);
      yield* page.sessions;
      if (page.next === null) return;
      after = page.next;
    }
  }

  /** Creates a session from a template, unless it exists, and sets its title and labels. */
  async createSession(session: CreateSession, options: RequestOptions = {}): Promise<SessionInfo> {
    return await this.#do("POST", ["sessions"], session, true, options);
  }

  /** Lists the pending permission requests of all sessions, the oldest first. */
  async approvals({ global }: ApprovalListQuery = {}, options: RequestOptions = {}): Promise<readonly Approval[]> {
    return (await this.#read<ApprovalList>(["approvals"], { global }, options)).approvals;
  }

  /** Lists the pools, with their members. */
  async pools(options: RequestOptions = {}): Promise<readonly PoolStatus[]> {
    return (await this.#read<PoolList>(["pools"], {}, options)).pools;
  }

  /** Returns the whole tree, on request without the options in effect, which are most of it. */
  async tree({ options: all }: TreeQuery = {}, options: RequestOptions = {}): Promise<Tree> {
    return await this.#read(["tree"], { options: all }, options);
  }

  /** Lists and counts the children of the root supervisor. */
  async children(options: RequestOptions = {}): Promise<ChildList> {
    return await this.#read(["children"], {}, options);
  }

  /** Stops a child of the root supervisor, and keeps its spec. */
  async terminateChild(child: WireName, options: RequestOptions = {}): Promise<ChildList> {
    return await this.#do("POST", ["children", nameText(child), "terminate"], undefined, true, options);
  }

  /** Starts a stopped or quarantined child of the root supervisor. */
  async restartChild(child: WireName, options: RequestOptions = {}): Promise<ChildList> {
    return await this.#do("POST", ["children", nameText(child), "restart"], undefined, false, options);
  }

  /** Deletes a child of the root supervisor that does not run. */
  async deleteChild(child: WireName, options: RequestOptions = {}): Promise<ChildList> {
    return await this.#do("DELETE", ["children", nameText(child)], undefined, false, options);
  }

  /** Checks the health of the supervisor and its sessions. */
  async health(options: RequestOptions = {}): Promise<SupervisorHealth> {
    return await this.#read(["health"], {}, options);
  }

  /** Returns the capacity in use. */
  async capacity(options: RequestOptions = {}): Promise<CapacityStatus> {
    return await this.#read(["capacity"], {}, options);
  }

  /** Reports the spending of all sessions. */
  async usage(
    { since, until, by, label, global }: UsageQuery = {},
    options: RequestOptions = {},
  ): Promise<readonly UsageReport[]> {
    return (await this.#read<UsageAnswer>(["usage"], { since, until, by, label, global }, options)).reports;
  }

  /** Asks the journal, and on a node the cluster's database: release, latency, faults. */
  async storage(options: RequestOptions = {}): Promise<StorageReport> {
    return await this.#read(["storage"], {}, options);
  }

  /** Lists the budget of the supervisor and those of its sessions in memory, the most used first. */
  async budgets(options: RequestOptions = {}): Promise<readonly BudgetReport[]> {
    return (await this.#read<BudgetList>(["budgets"], {}, options)).budgets;
  }

  /** Drains the supervisor, or its node of a cluster, and returns when it has stopped. Waits as long as that takes. */
  async drain(drain: DrainSupervisor = {}, options: RequestOptions = {}): Promise<DrainReport> {
    return await this.#do("POST", ["drain"], drain, true, { timeout: Number.POSITIVE_INFINITY, ...options });
  }

  /** Lists the endpoints of webhooks, as the server sees them since its start. */
  async webhooks(options: RequestOptions = {}): Promise<readonly Webhook[]> {
    return (await this.#read<WebhookList>(["webhooks"], {}, options)).webhooks;
  }

  /** Sends an event of the type `webhook.test` to an endpoint, once, and returns the result. */
  async testWebhook(id: string, options: RequestOptions = {}): Promise<WebhookTest> {
    return await this.#do("POST", ["webhooks", id, "test"], undefined, false, options);
  }

  /** Enables a disabled endpoint, and tries all its undelivered events now. Returns all endpoints. */
  async retryWebhook(id: string, options: RequestOptions = {}): Promise<readonly Webhook[]> {
    return (await this.#do<WebhookList>("POST", ["webhooks", id, "retry"], undefined, true, options)).webhooks;
  }

  /** Lists the nodes of the cluster. There is none if the server is in no cluster. */
  async nodes(options: RequestOptions = {}): Promise<readonly NodeInfo[]> {
    return (await this.#read<NodeList>(["cluster", "nodes"], {}, options)).nodes;
  }

  /** Moves global sessions to even out the load of the nodes, idle ones first. Resolves with what has moved. */
  async rebalance(rebalance: RebalanceCluster = {}, options: RequestOptions = {}): Promise<readonly MovedSession[]> {
    const timeout = { timeout: Number.POSITIVE_INFINITY, ...options };
    return (await this.#do<MovedSessions>("POST", ["cluster", "rebalance"], rebalance, false, timeout)).moved;
  }

  /** Lists global sessions by name, page by page. There is none if the server is in no cluster. */
  async listGlobalSessions(
    query: GlobalSessionListQuery = {},
    options: RequestOptions = {},
  ): Promise<GlobalSessionPage> {
    return await this.#read(["cluster", "sessions"], listParameters(query), options);
  }

  /** Yields all global sessions, by name. */
  async *globalSessions(
    query: Omit<GlobalSessionListQuery, "after"> = {},
    options: RequestOptions = {},
  ): AsyncGenerator<GlobalSessionInfo, void, undefined> {
    for (let after: GlobalSessionListQuery["after"]; ; ) {
      const page = await this.listGlobalSessions({ ...query, after }, options);
      yield* page.sessions;
      if (page.next === null) return;
      after = page.next;
    }
  }

  /**
   * Yields the supervisor's events from now on. The server does not store them: each `opened` tells that the stream begins, or
   * begins again after a loss, so that the reader reads the state again.
   *
   * @throws CastellanApiError why the server refuses the stream, or `SERVER_UNREACHABLE` after the client's `patience`
   */
  async *events(
    { types }: SupervisorEventQuery = {},
    { signal }: StreamOptions = {},
  ): AsyncGenerator<SupervisorEvent, void, undefined> {
    const path = pathOf(["events", "stream"], { types });
    for await (const { event, data } of eventStream(this.#connection, path, signal)) {
      // After `lost` the server closes the stream, and the next one begins with `opened`.
      if (event !== "lost") yield JSON.parse(data) as SupervisorEvent;
    }
  }

  async #read<Answer>(parts: readonly string[], query: QueryValues, options: RequestOptions): Promise<Answer> {
    return await this.#connection.json({ ...options, method: "GET", path: pathOf(parts, query), idempotent: true });
  }

  async #do<Answer>(
    method: "POST" | "DELETE",
    parts: readonly string[],
    body: object | undefined,
    idempotent: boolean,
    options: RequestOptions,
  ): Promise<Answer> {
    const request = { method, path: pathOf(parts), body, idempotent, defaultTimeout: LONG_MS } as const;
    return await this.#connection.json({ ...options, ...request });
  }
}

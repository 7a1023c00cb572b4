import { createRequire } from "node:module";
import { isIPv6 } from "node:net";
import type { Clock } from "../clock.ts";
import { CastellanError } from "../errors.ts";
import type { Query } from "../journal/postgres/postgres-database.ts";
import { postgresLocation } from "../journal/postgres/postgres-location.ts";
import { Cluster } from "./cluster.ts";
import { type ClusterSettings, type ConnectSettings, defaultNodeName } from "./cluster-options.ts";
import { serveRequests } from "./http/http-server.ts";
import { httpTransport } from "./http/http-transport.ts";
import { TlsCredentials } from "./http/tls-credentials.ts";
import { ClusterNode, type NodeDeps } from "./node.ts";
import { NodeRequestHandler } from "./node-request-handler.ts";
import { JOIN, joinValues } from "./postgres/node-rows.ts";
import { postgresEngine } from "./postgres/postgres-engine.ts";
import type { Engine, Hosted } from "./protocol/engine.ts";
import type { CallAnswer, CallRequest, EventFrame, EventsRequest, TurnFrame, TurnRequest } from "./protocol/frames.ts";
import { PROTOCOLS } from "./protocol/protocol.ts";
import type { Destination, RequestHandler, Transport } from "./protocol/transport.ts";
import { ReplayBuffer } from "./replay-buffer.ts";
import { RunStorage } from "./run-storage.ts";
import type { SessionHost } from "./session-host.ts";

/** Sources of time, ids and randomness. */
export interface ClusterSources {
  readonly clock: Clock;
  readonly newId: () => string;
  /** Returns a number in [0, 1), for jitter. */
  readonly random: () => number;
}

export interface JoinRequest extends ClusterSources {
  readonly settings: ClusterSettings;
  readonly hosts: Hosted;
  /** Canonical names of sessions that must always have an owner. */
  readonly wanted: readonly string[];
  /** Opens the host for the sessions of one run of the node. */
  openHost(storage: RunStorage): Promise<SessionHost>;
  warn(message: string): void;
}

/** A process's part in a cluster of which it is a node. */
export interface Membership {
  /** The name of the node. */
  readonly name: string;
  readonly cluster: Cluster;
  readonly node: ClusterNode;
  /**
   * Drains the node, see {@link ClusterNode.drain}, and closes its connections. A second call returns the same promise;
   * with a deadline of 0 it stops at once.
   */
  leave(deadlineMs: number): Promise<void>;
}

/** The release of Castellan that runs here. */
const RELEASE: string = (createRequire(import.meta.url)("castellan/package.json") as { readonly version: string })
  .version;

/** A prompt may have 20 million characters, and JSON escapes can make it six times as long. */
const LARGEST_REQUEST_BYTES = 128 * 1024 ** 2;

/**
 * Joins a cluster as a node. On failure nothing is left running.
 *
 * @throws CastellanError `DATABASE_UNAVAILABLE`, `JOURNAL_UNAVAILABLE`; `NODE_NAME_TAKEN` if a live node has the name;
 * `INVALID_OPTIONS` if the node cannot listen, or other nodes would refuse its certificate
 */
export async function joinCluster(request: JoinRequest): Promise<Membership> {
  const { settings, hosts, wanted, clock, newId, random, warn } = request;
  const { hostname } = settings.advertise;
  const tls =
    settings.tls &&
    new TlsCredentials(settings.tls, { clock, warn, host: hostname, what: "supervisor", at: "cluster." });
  // On a slow network a new connection takes most of it. A second attempt still has time.
  const renewMs = Math.max(settings.beatMs, 1_000, (settings.staleMs - settings.marginMs) / 2);
  const engine = engineOf(settings, settings.notifications, renewMs, clock, warn);
  const replay = new ReplayBuffer(postgresLocation(settings), clock, warn);
  let node: ClusterNode | undefined;
  const handler = new NodeRequestHandler(() => node, clock);
  const { host = isIPv6(hostname.replace(/^\[|\]$/g, "")) ? "::" : "0.0.0.0", port } = settings.listen;
  const listen = { host, port };
  const secret = settings.secrets;
  const server = await serveRequests(handler, {
    listen,
    secret,
    clock,
    boot: () => node?.boot ?? "",
    release: RELEASE,
    maxRequestBytes: LARGEST_REQUEST_BYTES,
    failed: (error) => warn(`A request of another node failed: ${String(error)}`),
    refused: warn,
    tls,
  }).catch(async (cause: unknown) => {
    tls?.[Symbol.dispose]();
    await engine.close();
    throw notListening(listen, cause);
  });
  const { name = defaultNodeName(server.port), labels, maxProcesses, beatMs, staleMs, marginMs } = settings;
  const address = addressOf(settings.advertise, server.port);
  const description = {
    name,
    address,
    protocols: PROTOCOLS,
    release: RELEASE,
    labels,
    hosts: { ...hosts, confirms: true },
    maxProcesses,
  };
  let sessions: SessionHost | undefined;
  const openHost: NodeDeps["openHost"] = async (boot, owned, lost, acts) => {
    const rejoin = (query: Query): Promise<unknown> => query(JOIN, joinValues({ ...description, boot, staleMs }));
    const run = { boot, rejoin };
    const storage = new RunStorage({ location: settings, node: name, run, owned, acts, replay, clock });
    sessions = await request.openHost(storage);
    void storage.lost?.then(lost);
    return sessions;
  };
  try {
    node = await ClusterNode.join(
      { description, beatMs, staleMs, marginMs, wanted },
      { engine, clock, newId, random, openHost, warn, restore: (but) => replay.restore(but) },
    );
  } catch (error) {
    tls?.[Symbol.dispose]();
    await server.close();
    await engine.close();
    throw error;
  }
  const member = node;
  const network = httpTransport({ secret, clock, newId, tls });
  const transport = new OwnTransport(handler, () => member.boot, network);
  const { patienceMs } = settings;
  let left: Promise<void> | undefined;
  const leave = async (deadlineMs: number): Promise<void> => {
    try {
      await member.drain(deadlineMs);
    } finally {
      tls?.[Symbol.dispose]();
      await cluster.close();
      await server.close();
      await engine.close();
    }
  };
  const cluster = new Cluster({ engine, transport, clock, newId, random, patienceMs }, async () => {});
  return {
    name,
    cluster,
    node: member,
    leave: (deadlineMs) => {
      // The turns need not finish any more. `leave` reports a failure to its caller.
      if (left !== undefined && deadlineMs === 0) sessions?.stop().catch(() => {});
      left ??= leave(deadlineMs);
      return left;
    },
  };
}

/**
 * Connects to a cluster as a client. Reads the files of `tls`, and does no other I/O before the first call.
 *
 * @param enter registers the cluster, and returns a function that removes it
 * @throws CastellanError `INVALID_OPTIONS` if nodes would refuse its certificate
 */
export function connectCluster(
  settings: ConnectSettings,
  { clock, newId, random }: ClusterSources,
  enter: (cluster: Cluster) => () => void,
): Cluster {
  const warn = (message: string): void => process.emitWarning(message, { type: "CastellanWarning" });
  const tls = settings.tls && new TlsCredentials(settings.tls, { clock, warn, what: "connect", at: "" });
  const engine = engineOf(settings, false, 5_000, clock);
  const transport: Transport = httpTransport({ secret: settings.secrets, clock, newId, tls });
  const { patienceMs } = settings;
  const cluster = new Cluster({ engine, transport, clock, newId, random, patienceMs }, async () => {
    leave();
    tls?.[Symbol.dispose]();
    await engine.close();
  });
  const leave = enter(cluster);
  return cluster;
}

function engineOf(
  { postgres, schema }: ConnectSettings,
  notifications: string | false | undefined,
  renewTimeoutMs: number,
  clock: Clock,
  warn: (message: string) => void = () => {},
): Engine {
  const listen = notifications === undefined ? {} : { listen: notifications };
  return postgresEngine({ postgres, schema, renewTimeoutMs, warn, ...listen }, clock);
}

/** Returns the address for other nodes, with the actual port in place of 0. */
function addressOf(advertise: URL, port: number): string {
  const address = new URL(advertise);
  if (advertise.port === "0") address.port = String(port);
  return address.origin;
}

function notListening(
  { host, port }: { readonly host: string; readonly port: number },
  cause: unknown,
): CastellanError {
  if (CastellanError.is(cause)) return cause;
  const words = cause instanceof Error ? cause.message : String(cause);
  const message = `\`cluster.listen\`: cannot listen on ${host} port ${port}: ${words}`;
  const details = { problems: [{ field: "cluster.listen", message }] };
  return new CastellanError("INVALID_OPTIONS", message, { details, cause });
}

/** Calls the local node directly, and all others over the network. */
class OwnTransport implements Transport {
  readonly #handler: RequestHandler;
  readonly #boot: () => string | undefined;
  readonly #network: Transport;

  /** `boot` returns the current run of the local node. */
  constructor(handler: RequestHandler, boot: () => string | undefined, network: Transport) {
    this.#handler = handler;
    this.#boot = boot;
    this.#network = network;
  }

  turn(to: Destination, request: TurnRequest, signal: AbortSignal): AsyncIterable<TurnFrame> {
    return this.#isOwn(to) ? this.#handler.turn(request, signal) : this.#network.turn(to, request, signal);
  }

  async call(to: Destination, request: CallRequest, signal: AbortSignal): Promise<CallAnswer> {
    return await (this.#isOwn(to) ? this.#handler.call(request) : this.#network.call(to, request, signal));
  }

  events(to: Destination, request: EventsRequest, signal: AbortSignal): AsyncIterable<EventFrame> {
    return this.#isOwn(to) ? this.#handler.events(request, signal) : this.#network.events(to, request, signal);
  }

  close(): Promise<void> {
    return this.#network.close();
  }

  #isOwn({ boot }: Destination): boolean {
    return boot === this.#boot();
  }
}

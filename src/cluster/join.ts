import { isIPv6 } from "node:net";
import type { SessionStore } from "@anthropic-ai/claude-agent-sdk";
import type { Clock } from "../clock.ts";
import { CastellanError } from "../errors.ts";
import type { Journal } from "../journal/journal.ts";
import type { Query } from "../journal/postgres-database.ts";
import { postgresPlace } from "../journal/postgres-place.ts";
import { Cluster } from "./cluster.ts";
import { type ClusterJournal, clusterJournal } from "./cluster-journal.ts";
import { type ClusterSettings, type ConnectSettings, usualNodeName } from "./cluster-options.ts";
import type { Engine, Hosted } from "./engine.ts";
import type { OwningRun } from "./epoch-fence.ts";
import { type GlobalTranscripts, globalTranscripts } from "./global-transcripts.ts";
import type { Hall, HallSession } from "./hall.ts";
import type { Holdings } from "./holdings.ts";
import { serveDesk } from "./http-server.ts";
import { httpTransport } from "./http-transport.ts";
import { ClusterNode, type NodeDeps } from "./node.ts";
import { JOIN, joinValues } from "./node-rows.ts";
import { OwnTransport } from "./own-transport.ts";
import { OwnerDesk } from "./owner-desk.ts";
import { postgresEngine } from "./postgres-engine.ts";
import { PROTOCOLS } from "./protocol.ts";
import { Recollection } from "./recollection.ts";
import { RELEASE } from "./release.ts";
import type { Desk, Transport } from "./transport.ts";

/** What time, chance and ids come from. */
export interface ClusterMeans {
  readonly clock: Clock;
  readonly newId: () => string;
  /** A number from 0 to below 1, for jitter. */
  readonly random: () => number;
}

/** What a hall is made with: it writes nowhere else. */
export interface HallGround {
  readonly journal: Journal;
  /** The name of the node. */
  readonly node: string;
  /** Whether the session of this canonical name is the node's at this moment. No other may begin here. */
  owns(key: string): boolean;
  /** The transcripts of the session of this canonical name. */
  storeOf(key: string): SessionStore;
}

/** A hall as it is made; the rest of {@link Hall} is the same for all. */
export type HallParts = Pick<Hall, "session" | "release" | "eraseFiles" | "stop"> & {
  readonly load: number;
  /** Resolves when it has ended, for whatever reason, and no process of it is left. */
  readonly closed: Promise<unknown>;
};

export interface JoinRequest extends ClusterMeans {
  readonly settings: ClusterSettings;
  readonly hosts: Hosted;
  /** Canonical names of sessions that are to live on some node at all times. */
  readonly wanted: readonly string[];
  openHall(ground: HallGround): Promise<HallParts>;
  /** Those pools of this node that are global. */
  pool(name: string): HallSession | undefined;
  warn(message: string): void;
}

/** What a process has of a cluster that it is a node of. */
export interface Membership {
  readonly cluster: Cluster;
  readonly node: ClusterNode;
  /**
   * Gives everything up, see {@link ClusterNode.drain}, and lets go of all that it stands on. A second call waits for the same
   * end; without a deadline it makes it come at once.
   */
  leave(deadlineMs: number): Promise<void>;
}

/** A prompt may have 20 million characters, which JSON may make six times as long. */
const LARGEST_REQUEST_BYTES = 128 * 1024 ** 2;

/**
 * Makes this process a node of a cluster.
 *
 * @throws CastellanError `JOURNAL_UNAVAILABLE`, `INVALID_OPTIONS` if it cannot listen where it is told to; in both cases nothing is
 * left behind
 */
export async function joinCluster(request: JoinRequest): Promise<Membership> {
  const { settings, hosts, wanted, clock, newId, random, warn } = request;
  const engine = engineOf(settings, settings.notifications, Math.max(settings.beatMs, 1_000), clock);
  const recollection = new Recollection(postgresPlace(settings), clock, warn);
  const late = new LateDesk();
  let node: ClusterNode | undefined;
  const { host = isIPv6(settings.advertise.hostname.replace(/^\[|\]$/g, "")) ? "::" : "0.0.0.0", port } =
    settings.listen;
  const listen = { host, port };
  const secret = settings.secrets;
  const server = await serveDesk(late, {
    listen,
    secret,
    clock,
    boot: () => node?.boot ?? "",
    release: RELEASE,
    maxRequestBytes: LARGEST_REQUEST_BYTES,
    failed: (error) => warn(`A request of another node failed: ${String(error)}`),
  }).catch(async (cause: unknown) => {
    await engine.close();
    throw notListening(listen, cause);
  });
  const { name = usualNodeName(server.port), labels, maxProcesses, beatMs, staleMs, marginMs } = settings;
  const address = addressOf(settings.advertise, server.port);
  const description = { name, address, protocols: PROTOCOLS, release: RELEASE, labels, hosts, maxProcesses };
  let hall: Hall | undefined;
  const openHall: NodeDeps["openHall"] = async (boot, holdings, lost, acts) => {
    const rejoin = (query: Query): Promise<unknown> => query(JOIN, joinValues({ ...description, boot, staleMs }));
    hall = await openedHall(request, { node: name, run: { boot, rejoin }, holdings, lost, acts, recollection });
    return hall;
  };
  try {
    node = await ClusterNode.join(
      { description, beatMs, staleMs, marginMs, wanted },
      { engine, clock, newId, random, openHall, warn, restore: (but) => recollection.restore(but) },
    );
  } catch (error) {
    await server.close();
    await engine.close();
    throw error;
  }
  const member = node;
  const desk = new OwnerDesk(member, request.pool, clock);
  late.desk = desk;
  const network = httpTransport({ secret, clock, newId });
  const transport = new OwnTransport(desk, () => member.boot, network);
  const { patienceMs } = settings;
  let left: Promise<void> | undefined;
  const leave = async (deadlineMs: number): Promise<void> => {
    try {
      await member.drain(deadlineMs);
    } finally {
      await cluster.close();
      await server.close();
      await engine.close();
    }
  };
  const cluster = new Cluster({ engine, transport, clock, newId, random, patienceMs }, async () => {});
  return {
    cluster,
    node: member,
    leave: (deadlineMs) => {
      // Turns that were to finish need not any more; what goes wrong in that is told to whoever waits for the end.
      if (left !== undefined && deadlineMs === 0) hall?.stop().catch(() => {});
      left ??= leave(deadlineMs);
      return left;
    },
  };
}

/**
 * Connects to a cluster without being a node of it. Nothing is asked before something is.
 *
 * @param enter is told of it, and takes that back by what it returns
 */
export function connectCluster(
  settings: ConnectSettings,
  { clock, newId, random }: ClusterMeans,
  enter: (cluster: Cluster) => () => void,
): Cluster {
  const engine = engineOf(settings, false, 5_000, clock);
  const transport: Transport = httpTransport({ secret: settings.secrets, clock, newId });
  const { patienceMs } = settings;
  const cluster = new Cluster({ engine, transport, clock, newId, random, patienceMs }, async () => {
    leave();
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
): Engine {
  const listen = notifications === undefined ? {} : { listen: notifications };
  return postgresEngine({ postgres, schema, renewTimeoutMs, ...listen }, clock);
}

/** The run of a node that a hall is for; see {@link NodeDeps.openHall}. */
interface HallRun {
  /** The name of the node. */
  readonly node: string;
  readonly run: OwningRun;
  readonly holdings: Holdings;
  readonly lost: (cause: CastellanError) => void;
  readonly acts: () => boolean;
  readonly recollection: Recollection;
}

async function openedHall(
  { settings, openHall, clock }: JoinRequest,
  { node, run, holdings, lost, acts, recollection }: HallRun,
): Promise<Hall> {
  const { postgres, schema } = settings;
  const journal: ClusterJournal = clusterJournal({ postgres, schema }, run, holdings, acts, clock, {
    recent: () => recollection.batchesOf(run.boot),
    behind: (lacking) => recollection.behind(lacking),
    doubt: (problem) => recollection.doubt(problem),
  });
  const transcripts: GlobalTranscripts = globalTranscripts(
    { postgres, schema },
    run,
    holdings,
    recollection.transcripts,
  );
  try {
    const parts = await openHall({
      journal,
      node,
      owns: (key) => holdings.epochOf(key) !== undefined,
      storeOf: (key) => transcripts.storeOf(key),
    });
    void journal.lost?.then(lost);
    const ended = async (): Promise<void> => {
      await parts.closed;
      await transcripts.close();
    };
    let stopping: Promise<void> | undefined;
    const stop = async (): Promise<void> => {
      await parts.stop();
      await ended();
    };
    return {
      session: (name) => parts.session(name),
      release: async (name, deadlineMs) => {
        try {
          await parts.release(name, deadlineMs);
        } catch (error) {
          // What ends all of them ends this one.
          if (stopping === undefined) throw error;
          await stopping;
        }
      },
      eraseFiles: (...request) => parts.eraseFiles(...request),
      catchUp: async () => {
        await journal.catchUp();
        await transcripts.catchUp();
      },
      get load() {
        return parts.load;
      },
      kill: async (cause) => {
        journal.lose(CastellanError.is(cause, "NOT_OWNER") ? cause : new CastellanError("NOT_OWNER", cause.message));
        await ended();
      },
      stop: () => {
        stopping ??= stop();
        return stopping;
      },
    };
  } catch (error) {
    await transcripts.close();
    throw error;
  }
}

/** Knows nothing yet: requests may come before the node has joined, meant for the run before. */
class LateDesk implements Desk {
  desk: Desk | undefined;

  async *turn(...request: Parameters<Desk["turn"]>): ReturnType<OwnerDesk["turn"]> {
    if (this.desk === undefined) yield { type: "not_owner" };
    else yield* this.desk.turn(...request);
  }

  async call(...request: Parameters<Desk["call"]>): ReturnType<Desk["call"]> {
    return (await this.desk?.call(...request)) ?? { type: "not_owner" };
  }

  async *events(...request: Parameters<Desk["events"]>): AsyncGenerator<unknown, void, undefined> {
    if (this.desk !== undefined) yield* this.desk.events(...request);
  }
}

/** Where others reach it, with the port that it has got if any free one was asked for. */
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

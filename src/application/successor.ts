import type { Clock } from "../clock.ts";
import { Caller } from "../cluster/caller.ts";
import { type GlobalReach, GlobalSession } from "../cluster/global-session.ts";
import { GlobalTurn } from "../cluster/global-turn.ts";
import { httpTransport } from "../cluster/http/http-transport.ts";
import { PROTOCOLS } from "../cluster/protocol/protocol.ts";
import type { Destination, RequestHandler, Transport } from "../cluster/protocol/transport.ts";
import { remoteEvents } from "../cluster/remote-events.ts";
import type { Routing } from "../cluster/router.ts";
import { withDeadline } from "../deadline.ts";
import { CastellanError } from "../errors.ts";
import type { SessionName } from "../names.ts";
import { leavable } from "../session/record/leavable.ts";
import { LocalPools } from "./local-pools.ts";
import type { SessionReach } from "./session-reach.ts";

/** How long a call looks for the process that has the session, in milliseconds. */
const PATIENCE_MS = 30_000;

export interface SuccessorDeps {
  readonly clock: Clock;
  readonly newId: () => string;
  readonly random: () => number;
  /** Answers for the sessions of this process, if they come back. */
  readonly handler: RequestHandler;
  readonly boot: string;
}

/**
 * The process that has taken this one's sessions over, and later the one after it. Calls wait until it is known how to
 * reach it, and go where the sessions are, also if they come back.
 */
export class Successor {
  readonly #deps: SuccessorDeps;
  readonly #reach: GlobalReach;
  readonly #closed = new AbortController();
  /** Transports by the run of the process that they reach. */
  readonly #transports = new Map<string, Transport>();
  /** The turns that callers here follow. */
  readonly #turns = new Set<GlobalTurn>();
  #found: PromiseWithResolvers<Destination> = Promise.withResolvers();

  constructor(deps: SuccessorDeps) {
    this.#deps = deps;
    const { clock, random, newId } = deps;
    const router: Routing = {
      locate: async () => ({ to: await this.#located(), claim: false, pool: false, confirms: false }),
      learn: () => {},
      forget: () => {},
      deadInMs: () => undefined,
    };
    const transport = this.#transport;
    const patienceMs = PATIENCE_MS;
    const caller = new Caller({ router, transport, clock, patienceMs });
    this.#closed.signal.addEventListener("abort", () => caller.close(this.#closed.signal.reason));
    const cancel = async (key: string, turnId: string): Promise<void> => {
      await caller.call(key, "cancel", turnId);
    };
    this.#reach = {
      call: (key, method, ...args) => caller.call(key, method, ...args),
      turn: (request) => {
        const turn = new GlobalTurn(request, { router, transport, clock, random, patienceMs, cancel });
        this.#turns.add(turn);
        const over = (): void => void this.#turns.delete(turn);
        turn.result.then(over, over);
        return turn;
      },
      events: (key, options) => {
        const leaving = new AbortController();
        const deps = { router, transport, clock, patienceMs };
        return leavable(remoteEvents(deps, key, options, this.#closed.signal, leaving), () => leaving.abort());
      },
      move: async () => {},
      fork: async () => {},
      eraseElsewhere: async () => {},
      newId,
    };
  }

  /** The sessions are in this process from now on. */
  reach({ address, secret, boot, protocol }: SessionReach): void {
    const { clock, newId } = this.#deps;
    if (!this.#transports.has(boot)) this.#transports.set(boot, httpTransport({ secret, clock, newId }));
    this.#go({ boot, address, protocol });
  }

  /** The sessions have come back. */
  home(): void {
    this.#go({ boot: this.#deps.boot, address: "", protocol: PROTOCOLS[1] });
  }

  /** @throws CastellanError `CLUSTER_UNAVAILABLE` if it is not known in time */
  async #located(): Promise<Destination> {
    return await withDeadline(this.#deps.clock, PATIENCE_MS, this.#found.promise, () => {
      const message = "The next process of the application has the sessions, but does not say how to reach them.";
      throw new CastellanError("CLUSTER_UNAVAILABLE", message, { details: { reason: "no_node" } });
    });
  }

  /** Tells those who wait, and those who ask from now on. */
  #go(to: Destination): void {
    this.#found.resolve(to);
    this.#found = Promise.withResolvers();
    this.#found.resolve(to);
  }

  /** A session, as its callers here see it. */
  session(name: SessionName): GlobalSession {
    return new GlobalSession(name, this.#reach);
  }

  /** A pool, as far as its turns go. */
  pool(name: string): Pick<GlobalSession, "begin"> {
    const key = LocalPools.keyOf(name);
    const { turn, call } = this.#reach;
    return new GlobalSession(name, {
      ...this.#reach,
      turn: (request) => turn({ ...request, key }),
      call: (_, method, ...args) => call(key, method, ...args),
    });
  }

  /** Resolves once callers here follow no turn. */
  async finished(): Promise<void> {
    while (this.#turns.size > 0) await Promise.allSettled([...this.#turns].map(({ result }) => result));
  }

  async close(): Promise<void> {
    const message = "The supervisor has been stopped; the next process of the application has its sessions.";
    this.#closed.abort(new CastellanError("SUPERVISOR_STOPPED", message));
    await Promise.all([...this.#transports.values()].map((transport) => transport.close()));
  }

  get #transport(): Transport {
    const { handler, boot } = this.#deps;
    const to = (destination: Destination): Transport | undefined => this.#transports.get(destination.boot);
    const isHome = (destination: Destination): boolean => destination.boot === boot;
    return {
      turn: (at, request, signal) =>
        isHome(at) ? handler.turn(request, signal) : (to(at)?.turn(at, request, signal) ?? nothing()),
      call: async (at, request, signal) =>
        isHome(at) ? await handler.call(request) : ((await to(at)?.call(at, request, signal)) ?? { type: "not_owner" }),
      events: (at, request, signal) =>
        isHome(at) ? handler.events(request, signal) : (to(at)?.events(at, request, signal) ?? nothing()),
      close: async () => {},
    };
  }
}

async function* nothing(): AsyncGenerator<never, void, undefined> {}

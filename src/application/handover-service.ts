import { createRequire } from "node:module";
import type { Clock } from "../clock.ts";
import type { RequestServer } from "../cluster/http/http-server.ts";
import { type AskedNode, NodeRequestHandler } from "../cluster/node-request-handler.ts";
import { PROTOCOLS } from "../cluster/protocol/protocol.ts";
import type { RequestHandler } from "../cluster/protocol/transport.ts";
import { CastellanError } from "../errors.ts";
import type { Handover } from "../journal/handover/handover.ts";
import { nameOfKey } from "../names.ts";
import { ExportPages } from "./export-pages.ts";
import { SupervisedSession } from "./hosted-session.ts";
import { LocalPools } from "./local-pools.ts";
import type { LocalSupervisor } from "./local-supervisor.ts";
import type { SessionReach } from "./session-reach.ts";

/** A prompt may have 20 million characters, and JSON escapes can make it six times as long. */
const LARGEST_REQUEST_BYTES = 128 * 1024 ** 2;

/**
 * The sessions of all supervisors in one journal, for earlier processes of the application that still get queries for
 * them. It listens on the loopback interface once such a process asks, and answers only those with its secret.
 */
export class HandoverService {
  readonly handler: RequestHandler;
  readonly boot: string;
  readonly #clock: Clock;
  readonly #newId: () => string;
  readonly #supervisors = new Map<LocalSupervisor, LocalPools>();
  readonly #exports: ExportPages;
  #server: Promise<{ readonly server: RequestServer; readonly reach: SessionReach }> | undefined;

  private constructor(clock: Clock, newId: () => string) {
    this.#clock = clock;
    this.#newId = newId;
    this.boot = newId();
    this.#exports = new ExportPages(clock, newId);
    this.handler = new NodeRequestHandler(() => this.#node, clock);
  }

  /** Returns the service of a journal. */
  static of(handover: Handover, clock: Clock, newId: () => string): HandoverService {
    const present = services.get(handover);
    if (present !== undefined) return present;
    const service = new HandoverService(clock, newId);
    services.set(handover, service);
    handover.reachable(() => service.#reach());
    return service;
  }

  /** Adds a supervisor that has started. Returns a function that removes it; the last one closes the service. */
  add(supervisor: LocalSupervisor): () => Promise<void> {
    this.#supervisors.set(supervisor, new LocalPools(supervisor.pools));
    return async () => {
      this.#supervisors.delete(supervisor);
      if (this.#supervisors.size > 0) return;
      const listening = this.#server;
      this.#server = undefined;
      await (await listening)?.server.close();
    };
  }

  async #reach(): Promise<SessionReach> {
    this.#server ??= this.#listen();
    return (await this.#server).reach;
  }

  async #listen(): Promise<{ readonly server: RequestServer; readonly reach: SessionReach }> {
    const secret = `${this.#newId()}${this.#newId()}`;
    // Only a hand-over needs the server, which would be most of an import.
    const { serveRequests } = await import("../cluster/http/http-server.ts");
    const { version } = createRequire(import.meta.url)("castellan/package.json") as { readonly version: string };
    const server = await serveRequests(this.handler, {
      listen: { host: "127.0.0.1", port: 0 },
      secret,
      clock: this.#clock,
      boot: () => this.boot,
      release: version,
      maxRequestBytes: LARGEST_REQUEST_BYTES,
    });
    const address = `http://127.0.0.1:${server.port}`;
    return { server, reach: { address, secret, boot: this.boot, protocol: PROTOCOLS[1] } };
  }

  get #node(): AskedNode {
    return {
      find: async (key) => {
        const { boot } = this;
        const pool = LocalPools.nameOf(key);
        let missing: CastellanError | undefined;
        for (const [supervisor, pools] of this.#supervisors) {
          // The process after this one has the sessions by now.
          if (supervisor.isAway) return { owned: false };
          const hosted = pool === undefined ? undefined : pools.find(pool);
          if (hosted !== undefined) return { owned: true, session: hosted, boot };
          try {
            const name = nameOfKey(key);
            const own = { supervisor, node: supervisor.name, exports: this.#exports };
            const session = new SupervisedSession({ ...own, arrived: async () => {}, fork: async () => "owned" }, name);
            return { owned: true, session, boot };
          } catch (error) {
            if (!CastellanError.is(error, "SESSION_NOT_FOUND")) throw error;
            missing = error;
          }
        }
        if (missing === undefined) return { owned: false };
        throw missing;
      },
      pool: () => undefined,
      release: async () => {},
      activities: () => [],
      activityOf: () => "none",
      eraseFiles: async () => {
        throw new CastellanError("SUPERVISOR_STOPPED", "The files belong to the process that has the session.");
      },
    };
  }
}

const services = new WeakMap<Handover, HandoverService>();

import { batch, type Signal, signal } from "@preact/signals";
import { CastellanApiError, type CastellanClient } from "../../client/index.ts";
import type { GlobalSessionInfo, NodeInfo } from "../../wire/cluster.ts";
import type { StorageReport } from "../../wire/storage.ts";
import { type OwnerRow, ownerRowOf } from "./cluster.ts";
import type { Name } from "./name.ts";

/** How often nodes and stores are read: nodes beat once a second. */
const NODES_MS = 2_000;
/** How often the owners are read, besides when a node changes. */
const OWNERS_MS = 20_000;
/** Reading the owners, of whom there may be very many, takes at most this part of the time. */
const SHARE = 0.1;

/** Where the cluster is read. */
interface ClusterSource {
  readonly state: { peek(): string };
  readonly client: Pick<CastellanClient, "nodes" | "storage" | "globalSessions" | "session">;
}

/** Reads the nodes of the cluster, its sessions and its stores, again and again while the page is seen. */
export class ClusterFeed {
  readonly nodes: Signal<readonly NodeInfo[] | undefined> = signal<readonly NodeInfo[] | undefined>(undefined);
  readonly storage: Signal<StorageReport | undefined> = signal<StorageReport | undefined>(undefined);
  readonly owners: Signal<readonly OwnerRow[] | undefined> = signal<readonly OwnerRow[] | undefined>(undefined);
  /** Why the nodes cannot be read. */
  readonly failure: Signal<string | undefined> = signal<string | undefined>(undefined);
  readonly refused: Signal<boolean> = signal(false);
  /** The sessions that are being moved, with the name of the node. */
  readonly moving: Signal<ReadonlyMap<string, string>> = signal<ReadonlyMap<string, string>>(new Map());
  /** Whether the server's node has drained, and whether it had to cut turns. */
  readonly left: Signal<"done" | "cut" | undefined> = signal<"done" | "cut" | undefined>(undefined);
  readonly #link: ClusterSource;
  readonly #isSeen: () => boolean;
  readonly #ends = new AbortController();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #ownersAt = 0;
  #tookMs = 0;
  #states = "";

  /** @param isSeen whether somebody sees the page: otherwise nothing is read */
  constructor(link: ClusterSource, isSeen: () => boolean) {
    this.#link = link;
    this.#isSeen = isSeen;
  }

  /** Reads now, and from then on again and again. */
  start(): void {
    void this.#read().finally(() => {
      if (!this.#ends.signal.aborted) this.#timer = setTimeout(() => this.start(), NODES_MS);
    });
  }

  /** The server's node has drained. */
  leave(completed: boolean): void {
    this.left.value = completed ? "done" : "cut";
    this.stop();
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#ends.abort();
  }

  /** Moves a session, and reads the owners again. @throws CastellanApiError why it has not moved */
  async move(key: string, name: Name, node: string): Promise<void> {
    this.moving.value = new Map(this.moving.peek()).set(key, node);
    try {
      await this.#link.client.session(name).move(node);
    } finally {
      await this.#readOwners().catch(() => {});
      const moving = new Map(this.moving.peek());
      moving.delete(key);
      this.moving.value = moving;
    }
  }

  async #read(): Promise<void> {
    if (!this.#isSeen() || this.#link.state.peek() === "login") return;
    const { client } = this.#link;
    const { signal: ends } = this.#ends;
    const asked = await Promise.allSettled([client.nodes({ signal: ends }), client.storage({ signal: ends })]);
    const [nodes, storage] = asked;
    if (ends.aborted) return;
    batch(() => {
      if (storage.status === "fulfilled") this.storage.value = storage.value;
      if (nodes.status === "fulfilled") {
        this.nodes.value = nodes.value;
        this.failure.value = undefined;
      } else this.#failed(nodes.reason);
    });
    if (nodes.status !== "fulfilled") return;
    const states = nodes.value.map(({ name, state, report }) => [name, state, report?.sessions].join()).join(";");
    const sinceMs = Date.now() - this.#ownersAt;
    if (sinceMs < (states === this.#states ? OWNERS_MS : this.#tookMs / SHARE)) return;
    this.#states = states;
    await this.#readOwners().catch((error: unknown) => this.#failed(error));
  }

  async #readOwners(): Promise<void> {
    const { client } = this.#link;
    const since = performance.now();
    const found: GlobalSessionInfo[] = [];
    const query = { limit: 1_000 };
    for await (const session of client.globalSessions(query, { signal: this.#ends.signal })) found.push(session);
    this.owners.value = found.map(ownerRowOf);
    this.#ownersAt = Date.now();
    this.#tookMs = performance.now() - since;
  }

  #failed(error: unknown): void {
    if (!(error instanceof CastellanApiError) || error.status === 0 || error.status === 401) return;
    if (error.status === 403) {
      this.refused.value = true;
      this.stop();
    } else this.failure.value = error.message;
  }
}

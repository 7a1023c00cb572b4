import { batch, type Signal, signal } from "@preact/signals";
import { CastellanApiError } from "../../client/index.ts";
import type { SupervisorHealth } from "../../wire/supervisor.ts";
import type { ChildList, Tree } from "../../wire/tree.ts";
import type { ServerLink } from "./server-link.ts";

/** Changes are read together, after this time at the earliest. */
const SOON_MS = 400;
/** A tree that takes long to read is read less often: reading takes at most this part of the time. */
const SHARE = 0.1;

/** Reads the supervision tree again and again. */
export class TreeFeed {
  readonly tree: Signal<Tree | undefined> = signal<Tree | undefined>(undefined);
  readonly children: Signal<ChildList | undefined> = signal<ChildList | undefined>(undefined);
  readonly health: Signal<SupervisorHealth | undefined> = signal<SupervisorHealth | undefined>(undefined);
  /** Why the tree cannot be read. `reach`: the user may see only some sessions. */
  readonly failure: Signal<"reach" | "failed" | undefined> = signal<"reach" | "failed" | undefined>(undefined);
  readonly #link: ServerLink;
  readonly #ends = new AbortController();
  #waiting: ReturnType<typeof setTimeout> | undefined;
  #reading: Promise<void> | undefined;
  #tookMs = 0;

  constructor(link: ServerLink) {
    this.#link = link;
  }

  /** Reads the tree soon: something has changed. */
  touch(): void {
    if (this.#ends.signal.aborted) return;
    this.#waiting ??= setTimeout(
      () => {
        this.#waiting = undefined;
        void this.read();
      },
      Math.max(SOON_MS, this.#tookMs / SHARE),
    );
  }

  /** Reads the tree now, unless that is under way. */
  async read(): Promise<void> {
    this.#reading ??= this.#read().finally(() => {
      this.#reading = undefined;
    });
    await this.#reading;
  }

  /** Leaves the page. */
  stop(): void {
    clearTimeout(this.#waiting);
    this.#ends.abort();
  }

  async #read(): Promise<void> {
    const { client } = this.#link;
    const options = { signal: this.#ends.signal };
    const since = performance.now();
    try {
      const [tree, children, health] = await Promise.all([
        client.tree({ options: false }, options),
        client.children(options),
        client.health(options),
      ]);
      batch(() => {
        this.tree.value = tree;
        this.children.value = children;
        this.health.value = health;
        this.failure.value = undefined;
      });
    } catch (error) {
      if (!(error instanceof CastellanApiError) || error.status === 0 || error.status === 401) return;
      this.failure.value = error.status === 403 ? "reach" : "failed";
    } finally {
      this.#tookMs = performance.now() - since;
    }
  }
}

import { type Signal, signal } from "@preact/signals";
import { CastellanClient } from "../../client/index.ts";

/**
 * How the page stands to its server. `live`: the server reports every change. `polling`: the user may see only some sessions, so the page
 * asks now and then. `login`: the server asks who it is.
 */
export type LinkState = "connecting" | "live" | "polling" | "lost" | "login";

/** After which silence a stream connects again: the server pings every 15 s. */
const SILENCE_MS = 40_000;

/** A client of the server that hosts the page, and whether it is reached. */
export class ServerLink {
  readonly state: Signal<LinkState> = signal<LinkState>("connecting");
  /** When the connection broke. */
  readonly lostSince: Signal<number> = signal(0);
  readonly client: CastellanClient;
  /** When the server last answered. */
  answeredAt = 0;

  constructor(base: string) {
    this.client = new CastellanClient({
      url: `${location.origin}${base}`,
      patience: Number.POSITIVE_INFINITY,
      streamIdle: SILENCE_MS,
      fetch: (url, init) => this.#fetch(url, init),
    });
  }

  /** Sets the state. */
  enter(state: LinkState): void {
    if (state === "lost" && this.state.value !== "lost") this.lostSince.value = Date.now();
    this.state.value = state;
  }

  async #fetch(url: string, init: RequestInit): Promise<Response> {
    try {
      const response = await fetch(url, init);
      this.answeredAt = Date.now();
      if (response.status === 401) this.enter("login");
      return response;
    } catch (error) {
      if (init.signal?.aborted !== true && this.state.value !== "login") this.enter("lost");
      throw error;
    }
  }
}

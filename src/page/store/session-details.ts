import { type Signal, signal } from "@preact/signals";
import { CastellanApiError, type SessionClient } from "../../client/index.ts";
import type { Schedule } from "../../wire/schedule.ts";
import type { SessionHealth } from "../../wire/session.ts";
import type { SessionInspection } from "../../wire/session-inspection.ts";
import type { UsageReport } from "../../wire/usage.ts";
import type { Name } from "./name.ts";
import { messageOf } from "./shown-name.ts";

/** What was read: `refused` if the user may not see it, `gone` if the session has ended. */
export type Read<Value> = Value | "reading" | "refused" | "gone" | { readonly failure: string };

/** Returns what was read, if it was. */
export function foundIn<Value extends object>(read: Read<Value>): Value | undefined {
  return typeof read === "string" || "failure" in read ? undefined : read;
}

type DetailsClient = Pick<SessionClient, "inspect" | "usage" | "schedules" | "health">;

/** Where the details are read. */
interface DetailsSource {
  readonly client: { session(name: Name): DetailsClient };
}

/** What is known of a session besides its record. Reading it starts no process. */
export class SessionDetails {
  readonly inspection: Signal<Read<SessionInspection>> = signal<Read<SessionInspection>>("reading");
  readonly spending: Signal<Read<readonly UsageReport[]>> = signal<Read<readonly UsageReport[]>>("reading");
  readonly schedules: Signal<Read<readonly Schedule[]>> = signal<Read<readonly Schedule[]>>("reading");
  readonly health: Signal<Read<SessionHealth>> = signal<Read<SessionHealth>>("reading");
  readonly #link: DetailsSource;
  readonly #name: Name;
  readonly #ends = new AbortController();
  /** The latest request for each part: the answer of an earlier one is out of date. */
  readonly #latest = new Map<object, symbol>();
  /** How many requests for what changes without an event are under way. */
  #inspecting = 0;

  constructor(link: DetailsSource, name: Name) {
    this.#link = link;
    this.#name = name;
  }

  /** Reads everything, each part by itself: a process may take its time to answer. */
  async read(): Promise<void> {
    const options = { signal: this.#ends.signal };
    await Promise.all([
      this.inspect(),
      this.#load(this.spending, this.#session.usage({ by: ["model"] }, options)),
      this.readSchedules(),
      this.#load(this.health, this.#session.health(options)),
    ]);
  }

  /** Reads what changes without an event, such as the state of MCP servers. */
  async inspect(): Promise<void> {
    this.#inspecting += 1;
    await this.#load(this.inspection, this.#session.inspect({ signal: this.#ends.signal }));
    this.#inspecting -= 1;
  }

  /** Reads the same, unless that is under way or refused: a slow answer would otherwise never be the latest. */
  async inspectAgain(): Promise<void> {
    if (this.#inspecting === 0 && this.inspection.peek() !== "refused") await this.inspect();
  }

  /** Reads the schedules. */
  async readSchedules(): Promise<void> {
    await this.#load(this.schedules, this.#session.schedules({ signal: this.#ends.signal }));
  }

  /** Asks the process for a sign of life. */
  async check(): Promise<void> {
    this.health.value = "reading";
    await this.#load(this.health, this.#session.health({ signal: this.#ends.signal }));
  }

  /** Leaves the session. */
  stop(): void {
    this.#ends.abort();
  }

  get #session(): DetailsClient {
    return this.#link.client.session(this.#name);
  }

  async #load<Value>(into: Signal<Read<Value>>, request: Promise<Value>): Promise<void> {
    const own = Symbol();
    this.#latest.set(into, own);
    const found = await outcome(request);
    if (!this.#ends.signal.aborted && this.#latest.get(into) === own) into.value = found;
  }
}

async function outcome<Value>(request: Promise<Value>): Promise<Read<Value>> {
  try {
    return await request;
  } catch (error) {
    if (error instanceof CastellanApiError && error.status === 403) return "refused";
    if (error instanceof CastellanApiError && error.status === 404) return "gone";
    return { failure: messageOf(error) };
  }
}

import type { Clock } from "../../clock.ts";

/** A store at one moment. */
export interface StoreReport {
  /** `custom` for a journal of the application's own. */
  readonly kind: "memory" | "sqlite" | "postgres" | "custom";
  /** Contains no password. */
  readonly location: string;
  /** The release of SQLite or PostgreSQL. */
  readonly version?: string;
  /** How long it has just taken to answer, in milliseconds. Left out if it did not. */
  readonly latencyMs?: number;
  /** Why it accepts no writes or does not answer; left out if it does. */
  readonly fault?: string;
  /** When it last failed to accept a write since the start of the application, and why. */
  readonly lastFault?: { readonly at: number; readonly message: string };
  /** What it is known to have lost or damaged; the rest stays in use. */
  readonly damage?: string;
}

/** The stores of a supervisor. */
export interface StorageReport {
  readonly journal: StoreReport;
  /** The database of the cluster, on a node: the journal of global sessions, and who owns them. */
  readonly cluster?: StoreReport;
}

/** A store that can be asked. */
export interface AskedStore {
  readonly kind: StoreReport["kind"];
  readonly location: string;
  /** Resolves with its release, if it has one. */
  readonly ask: () => Promise<string | undefined>;
}

/** Asks a store, and reports how long its answer took. */
export async function askStore({ kind, location, ask }: AskedStore, clock: Clock): Promise<StoreReport> {
  const begun = clock.monotonic();
  try {
    const version = await ask();
    const latencyMs = clock.monotonic() - begun;
    return { kind, location, latencyMs, ...(version !== undefined && { version }) };
  } catch (error) {
    return { kind, location, fault: error instanceof Error ? error.message : String(error) };
  }
}

/** How long a node may take to reconnect, join and write again what is missing, in milliseconds; see `history-statements.ts`. */
const COME_BACK_MS = 10_000;

/** How long the lease of a node may last of which the database knows nothing, if it knows no other node, in milliseconds. */
const UNKNOWN_LEASE_MS = 5_000;

/** How long a silent node may still be alive, in milliseconds. */
const MAY_LIVE_MS = 3_600_000;

/** What the history needs to know of a node. */
export interface HistoryNode {
  readonly staleMs: number;
  readonly heardAt: number;
  readonly ended: boolean;
  /** The last era for which it has written again what was missing. */
  readonly era: number;
}

/** The history of a database, and from when on claims are allowed in it: a model of `history-statements.ts`. */
export class SimulatedHistory {
  /** What tells one history of the database from another. Not part of what a failover restores. */
  #identity = 1;
  #known = 1;
  #era = 1;
  #claimsFrom = 0;
  /** Before when the lease of a node of which the database knows nothing may last. */
  #notBefore = 0;
  readonly #waits: boolean;

  /** @param waits whether claims wait at the beginning of an era; only a mutant does not */
  constructor(waits = true) {
    this.#waits = waits;
  }

  get era(): number {
    return this.#era;
  }

  /** The part that the database stores. */
  get stored(): readonly [known: number, era: number, claimsFrom: number, notBefore: number] {
    return [this.#known, this.#era, this.#claimsFrom, this.#notBefore];
  }

  /** The database fails over to a state that was stored before. */
  failOver(stored: SimulatedHistory["stored"]): void {
    [this.#known, this.#era, this.#claimsFrom, this.#notBefore] = stored;
    this.#identity += 1;
  }

  mayClaim(now: number): boolean {
    return this.#claimsFrom <= now || !this.#waits;
  }

  /** Begins an era if the history is another one than that of the last look. */
  detect(nodes: Iterable<HistoryNode>, now: number): void {
    if (this.#known === this.#identity) return;
    this.#known = this.#identity;
    this.begin(nodes, now);
  }

  begin(nodes: Iterable<HistoryNode>, now: number): void {
    const all = [...nodes];
    const spans = all.filter((node) => mayLive(node, now)).map(({ staleMs }) => staleMs + COME_BACK_MS);
    this.#era = Math.max(this.#era + 1, Math.floor(now));
    this.#notBefore = now + (all.length === 0 ? UNKNOWN_LEASE_MS : Math.max(...all.map(({ staleMs }) => staleMs)));
    this.#claimsFrom = Math.max(this.#notBefore, now + Math.max(0, ...spans));
  }

  /** Allows claims once every node that may be alive has written again what was missing. */
  endWait(nodes: Iterable<HistoryNode>, now: number): void {
    if (this.#claimsFrom <= Math.max(now, this.#notBefore)) return;
    if ([...nodes].every((node) => !mayLive(node, now) || node.era >= this.#era)) {
      this.#claimsFrom = Math.max(now, this.#notBefore);
    }
  }
}

function mayLive({ ended, heardAt }: HistoryNode, now: number): boolean {
  return !ended && now - heardAt < MAY_LIVE_MS;
}

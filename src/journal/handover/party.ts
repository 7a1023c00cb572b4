/** How the sessions of a journal's next owner are reached; what it consists of is the application's business. */
export type Reach = Readonly<Record<string, unknown>>;

/** A supervisor whose sessions are in the journal, as a hand-over sees it. */
export interface HandoverParty {
  /** Begins no more turns, and ends the processes without one. Resolves once that is done, or takes too long. */
  prepare(): Promise<void>;
  /** Gives up the sessions without a process. Returns the canonical names of the others. */
  yield(): readonly string[];
  /** Begins turns again, because the journal stays here or has come back. */
  resume(): void;
  /**
   * Ends the sessions that `yield` returned as soon as their turns are over, at the latest after `deadlineMs`, and calls
   * `returned` for each once nothing is written for it any more. Calls of the journal have waited for `waitedMs`.
   */
  lend(deadlineMs: number, waitedMs: number, returned: (key: string) => Promise<void>): void;
  /** The sessions of the next owner can be reached so from now on. */
  reach(reach: Reach): void;
}

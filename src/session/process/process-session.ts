/**
 * What a process asks its session at the moment of a decision: the capacity asks at any time whether it can give up its
 * slot, and liveness asks whether it hangs.
 */
export interface ProcessSession {
  /** Whether the process is idle: no work, no pending request, and no scheduled turn that it has to stay for. */
  readonly free: boolean;
  /** Whether turns wait. */
  readonly turnsWait: boolean;
  /** Whether all that waits are turns of an earlier run of the application. */
  readonly resumes: boolean;
  /** Whether a process is only wanted ahead of a turn that may never come. */
  readonly ahead: boolean;
  /** Whether a hibernated session needs a process. */
  readonly wanted: boolean;
  /** What the process has to finish before it can be replaced. */
  readonly at: "turn" | "background task" | undefined;
  /** The turn that the process works on. */
  readonly work: { readonly busy: boolean; readonly since: number; readonly openTools: number };
  /** Whether the session has ended for good. */
  readonly hasEnded: boolean;
  /**
   * Resumes turns that only the journal has, before a process starts.
   *
   * @throws CastellanError why no process may start
   */
  resume(): Promise<void>;
}

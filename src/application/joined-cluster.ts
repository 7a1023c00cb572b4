/** The cluster that a supervisor is a node of, which it has to leave before it ends. */
export interface JoinedCluster {
  /** Why it takes no turns of global sessions at this moment, if it does not. */
  readonly fault: string | undefined;
  /** Gives up what it owns there, after running turns or at the deadline. A second call waits for the same end. */
  leave(deadlineMs: number): Promise<void>;
}

/** A process that is reserved for a turn, whose acceptance and beginning the journal records in one write. */
export interface TurnStart {
  readonly promptId: string;
  /** Sends the prompt, because both are written. */
  readonly accepted: () => void;
  /** Gives the process free, because the turn is not accepted. The caller signals the next turn. */
  readonly refused: () => void;
}

/** The result of one check, in words that a person can act on. */
export interface Finding {
  readonly subject: string;
  /** `warning`: it works, with a limitation. */
  readonly verdict: "ok" | "warning" | "failed";
  readonly message: string;
}

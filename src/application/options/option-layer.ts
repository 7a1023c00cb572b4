/** Who gives options to a session. */
export interface OptionOwner {
  /** `process`: installed for all supervisors of the process, as tests do. */
  readonly kind: "session" | "template" | "pool" | "supervisor" | "process";
  /** Not of a session, whose own they are, nor of a supervisor that has none, nor of the process. */
  readonly name?: string | undefined;
}

/** The options that one of them gives. Of several layers the later ones go over the earlier ones. */
export interface OptionLayer {
  readonly owner: OptionOwner;
  readonly options: object;
}

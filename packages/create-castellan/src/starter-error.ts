/** What went wrong, in words for the person who runs the command. */
export class StarterError extends Error {
  override readonly name: string = "StarterError";
}

/** The person has pressed Ctrl-C. */
export class Cancelled extends Error {
  override readonly name: string = "Cancelled";
}

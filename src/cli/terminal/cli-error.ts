/** An error of the command line itself. The code decides the exit code. */
export class CliError extends Error {
  override readonly name: string = "CliError";
  readonly code: "NO_SERVER" | "NOT_FOUND" | "AMBIGUOUS" | "NOT_CONFIRMED" | "NOT_A_TERMINAL" | "UNHEALTHY";

  constructor(code: CliError["code"], message: string) {
    super(message);
    this.code = code;
  }
}

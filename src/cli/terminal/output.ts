/** Prints a value as JSON if `json` is set, else as text. Empty text prints nothing. */
export function print(json: boolean | undefined, value: unknown, text: () => string): void {
  const shown = json === true ? JSON.stringify(value) : text();
  if (shown !== "") process.stdout.write(`${shown}\n`);
}

/** Says something to people that is no output: on the other stream, and not with `json`. */
export function tell(json: boolean | undefined, text: string): void {
  if (json !== true) process.stderr.write(`${text}\n`);
}

/** Returns the width of the terminal that gets the output, or undefined if it is none. */
export function outputWidth(): number | undefined {
  return process.stdout.isTTY ? process.stdout.columns : undefined;
}

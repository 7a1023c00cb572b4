/** How much of a process's error output is kept as evidence, in characters. */
const KEPT = 2048;

/** The last 2 kB of what a process wrote to its error output. */
export class StderrTail {
  #text = "";
  /** What must not be shown, wherever the evidence is. */
  secrets: readonly string[] = [];

  append(text: string): void {
    this.#text = (this.#text + text).slice(-KEPT);
  }

  /** `undefined` if nothing was written. */
  get text(): string | undefined {
    const trimmed = this.secrets.reduce((text, secret) => text.replaceAll(secret, "[hidden]"), this.#text).trim();
    return trimmed === "" ? undefined : trimmed;
  }
}

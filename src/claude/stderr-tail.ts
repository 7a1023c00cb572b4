/** How much of a process's error output is kept as evidence, in characters. */
const KEPT = 2048;

/** The last 2 kB of what a process wrote to its error output. */
export class StderrTail {
  #text = "";

  append(text: string): void {
    this.#text = (this.#text + text).slice(-KEPT);
  }

  /** `undefined` if nothing was written. */
  get text(): string | undefined {
    const trimmed = this.#text.trim();
    return trimmed === "" ? undefined : trimmed;
  }
}

import { stripVTControlCharacters } from "node:util";
import { printable } from "../printable.ts";
import { begunAtEnd, hide, hideBegun, type Secrets } from "./secrets.ts";

/** How much error output to keep as evidence, in characters. */
const KEPT = 2048;

/** The last 2 kB of a process's error output, without secrets. */
export class StderrTail {
  /** Secrets are already replaced, so it can be cut anywhere. */
  #text = "";
  /** The latest output, if it may be the beginning of a secret. */
  #begun = "";
  /** Values that must not be shown wherever the evidence appears. */
  secrets: Secrets = [];

  append(text: string): void {
    const hidden = hide(this.#begun + text, this.secrets);
    const end = hidden.length - begunAtEnd(hidden, this.secrets);
    this.#text = (this.#text + hidden.slice(0, end)).slice(-KEPT);
    this.#begun = hidden.slice(end);
  }

  /** `undefined` if nothing was written. */
  get text(): string | undefined {
    const shown = printable(stripVTControlCharacters(this.#text + hideBegun(this.#begun)));
    const trimmed = shown.slice(-KEPT).trim();
    return trimmed === "" ? undefined : trimmed;
  }
}

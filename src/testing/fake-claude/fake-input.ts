import { Writable } from "node:stream";
import { StringDecoder } from "node:string_decoder";

/** Standard input of a fake process: gives whole lines, and takes nothing while the process is held. */
export class FakeInput extends Writable {
  readonly #onLine: (line: string) => void;
  readonly #onEnd: () => void;
  readonly #decoder = new StringDecoder("utf8");
  #parts: string[] = [];
  #held = false;
  #resume: (() => void) | undefined;

  constructor(onLine: (line: string) => void, onEnd: () => void) {
    super({ decodeStrings: true });
    this.#onLine = onLine;
    this.#onEnd = onEnd;
  }

  hold(): void {
    this.#held = true;
  }

  release(): void {
    this.#held = false;
    const resume = this.#resume;
    this.#resume = undefined;
    resume?.();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: (error?: Error | null) => void): void {
    this.#whenFree(() => {
      this.#take(this.#decoder.write(chunk));
      callback();
    });
  }

  override _final(callback: (error?: Error | null) => void): void {
    this.#whenFree(() => {
      this.#take(`${this.#decoder.end()}\n`);
      callback();
      this.#onEnd();
    });
  }

  #whenFree(work: () => void): void {
    if (this.#held) this.#resume = () => this.#whenFree(work);
    else work();
  }

  #take(text: string): void {
    let from = 0;
    for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", from)) {
      this.#parts.push(text.slice(from, at));
      const line = this.#parts.join("");
      this.#parts = [];
      if (line.trim() !== "") this.#onLine(line);
      from = at + 1;
    }
    if (from < text.length) this.#parts.push(text.slice(from));
  }
}

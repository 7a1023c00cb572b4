import { clearScreenDown, createInterface, cursorTo, type Interface, moveCursor } from "node:readline";

/** A terminal with a line that somebody types, and output that comes above it in the meantime. */
export class LivePrompt implements Disposable {
  readonly #readline: Interface;
  readonly #output: NodeJS.WriteStream;
  readonly #prompt: string;
  /** The line of output that has no end yet. It stands above the prompt, as a part of it. */
  #partial = "";
  #closed = false;

  constructor(input: NodeJS.ReadStream, output: NodeJS.WriteStream, prompt: string) {
    this.#output = output;
    this.#prompt = prompt;
    this.#readline = createInterface({ input, output, prompt, terminal: true });
    this.#readline.prompt();
  }

  /** Calls back for each typed line, for Ctrl-C, and at Ctrl-D. */
  on(handlers: {
    readonly line: (text: string) => void;
    readonly interrupt: () => void;
    readonly end: () => void;
  }): void {
    this.#readline.on("line", (text) => {
      // What was above the prompt stays there, and later output continues below the typed line.
      this.#partial = "";
      handlers.line(text);
      this.#show();
    });
    this.#readline.on("SIGINT", handlers.interrupt);
    this.#readline.on("close", () => {
      this.#closed = true;
      // The shell's prompt begins on a line of its own.
      this.#output.write("\n");
      handlers.end();
    });
  }

  /** Writes output that may end in the middle of a line. */
  write(text: string): void {
    const lines = (this.#partial + text).split("\n");
    this.#partial = "";
    const rest = lines.pop() ?? "";
    this.#print(lines, rest);
  }

  /** Writes whole lines. */
  line(text: string): void {
    const before = this.#partial === "" ? [] : [this.#partial];
    this.#print([...before, text], "");
  }

  [Symbol.dispose](): void {
    if (!this.#closed) this.#readline.close();
  }

  #print(lines: readonly string[], partial: string): void {
    // The prompt and the typed text may take several rows; readline goes up by as many when it draws them again.
    const { rows } = this.#readline.getCursorPos();
    moveCursor(this.#output, 0, -rows);
    cursorTo(this.#output, 0);
    clearScreenDown(this.#output);
    this.#output.write(lines.map((line) => `${line}\n`).join("") + "\n".repeat(rows));
    this.#partial = partial;
    this.#show();
  }

  #show(): void {
    if (this.#closed) return;
    this.#readline.setPrompt(this.#partial === "" ? this.#prompt : `${this.#partial}\n${this.#prompt}`);
    this.#readline.prompt(true);
  }
}

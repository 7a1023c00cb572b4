import { execFile } from "node:child_process";
import { randomUUID } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { promisify } from "node:util";

const run = promisify(execFile);

/** A command in a terminal of 80 columns and 24 rows, with its keyboard and its screen. */
export class TmuxScreen implements AsyncDisposable {
  readonly #socket = `castellan-${randomUUID()}`;

  /** Whether tmux is installed. */
  static async isThere(): Promise<boolean> {
    return await run("tmux", ["-V"]).then(
      () => true,
      () => false,
    );
  }

  static async start(command: string): Promise<TmuxScreen> {
    const screen = new TmuxScreen();
    // The pane stays when the command has ended, so that its last output can be read.
    await screen.#tmux(
      "new-session",
      "-d",
      "-x",
      "80",
      "-y",
      "24",
      `${command}; echo "exit code $?"; tail -f /dev/null`,
    );
    return screen;
  }

  /** Types text, and presses Enter. */
  async type(text: string): Promise<void> {
    await this.#tmux("send-keys", "-l", text);
    await this.press("Enter");
  }

  /** Presses a key by tmux's name, such as `C-c`. */
  async press(key: string): Promise<void> {
    await this.#tmux("send-keys", key);
  }

  /** Returns what stands on the screen. */
  async text(): Promise<string> {
    return (await this.#tmux("capture-pane", "-p")).trimEnd();
  }

  /** Resolves with the screen once it shows `wanted`. Rejects with the screen after 30 s. */
  async until(wanted: string | RegExp): Promise<string> {
    for (let tries = 0; ; tries++) {
      const text = await this.text();
      if (typeof wanted === "string" ? text.includes(wanted) : wanted.test(text)) return text;
      if (tries === 300) throw new Error(`The screen does not show ${wanted}:\n${text}`);
      // A screen has no event to wait for.
      await delay(100);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#tmux("kill-server").catch(() => {});
  }

  async #tmux(...args: string[]): Promise<string> {
    const { stdout } = await run("tmux", ["-L", this.#socket, "-f", "/dev/null", ...args]);
    return stdout;
  }
}

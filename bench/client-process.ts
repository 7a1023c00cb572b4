import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import type { AnswerTimes } from "./answers.ts";
import type { FarRequest } from "./far-client.ts";

/** A client in a process of its own, as most clients of a server are. */
export class ClientProcess implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #exit: Promise<never>;

  private constructor(child: ChildProcess) {
    this.#child = child;
    this.#exit = once(child, "exit").then(([code]) => {
      throw new Error(`the client process exited with code ${code}`);
    });
    this.#exit.catch(() => {});
  }

  /** Starts a client of these sessions. */
  static async start(url: string, names: readonly string[]): Promise<ClientProcess> {
    const path = fileURLToPath(new URL("./far-client.ts", import.meta.url));
    const client = new ClientProcess(fork(path, [url, JSON.stringify(names)]));
    await client.#message();
    return client;
  }

  /** Has the client make requests. One call at a time. */
  async do(request: FarRequest): Promise<AnswerTimes> {
    this.#child.send(request);
    return (await this.#message()) as AnswerTimes;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ended = once(this.#child, "exit");
    this.#child.disconnect();
    await ended;
  }

  async #message(): Promise<unknown> {
    const [message] = await Promise.race([once(this.#child, "message"), this.#exit]);
    return message;
  }
}

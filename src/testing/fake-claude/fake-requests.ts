import { randomUUID } from "node:crypto";
import { objectOf, stringOf, type WireMessage, type WireObject } from "./fake-wire.ts";

interface Pending {
  readonly resolve: (response: WireObject) => void;
  readonly reject: (reason: unknown) => void;
}

/** What a fake process asks its host: hooks, tools of in-process MCP servers, permissions. Each waits until the host answers. */
export class FakeRequests {
  readonly #send: (message: WireMessage) => void;
  readonly #pending = new Map<string, Pending>();

  constructor(send: (message: WireMessage) => void) {
    this.#send = send;
  }

  /**
   * Resolves to the host's answer. Rejects when the host answers with an error, and with the signal's reason when that aborts: the request
   * is withdrawn then.
   */
  async ask(request: WireObject, signal: AbortSignal): Promise<WireObject> {
    signal.throwIfAborted();
    const id = randomUUID();
    const withdraw = (): void => {
      this.#send({ type: "control_cancel_request", request_id: id });
      this.#pending.get(id)?.reject(signal.reason);
    };
    const answer = new Promise<WireObject>((resolve, reject) => this.#pending.set(id, { resolve, reject }));
    signal.addEventListener("abort", withdraw, { once: true });
    this.#send({ type: "control_request", request_id: id, request });
    try {
      return await answer;
    } finally {
      this.#pending.delete(id);
      signal.removeEventListener("abort", withdraw);
    }
  }

  /** Takes a `control_response` line. An answer that nobody waits for any more is dropped. */
  answered(message: WireObject): void {
    const response = objectOf(message, "response");
    const pending = this.#pending.get(stringOf(response, "request_id") ?? "");
    if (response["subtype"] !== "error") pending?.resolve(objectOf(response, "response"));
    else pending?.reject(new Error(stringOf(response, "error") ?? "the host answered with an error"));
  }
}

import type { CallAnswer, CallRequest, TurnFrame, TurnRequest } from "./protocol/frames.ts";
import type { Destination, RequestHandler, Transport } from "./protocol/transport.ts";

/** Asks a node of this process without a detour, and all others over the network. */
export class OwnTransport implements Transport {
  readonly #handler: RequestHandler;
  readonly #boot: () => string | undefined;
  readonly #network: Transport;

  /** `boot` is of this process' node, at this moment. */
  constructor(handler: RequestHandler, boot: () => string | undefined, network: Transport) {
    this.#handler = handler;
    this.#boot = boot;
    this.#network = network;
  }

  turn(to: Destination, request: TurnRequest, signal: AbortSignal): AsyncIterable<TurnFrame> {
    return this.#isOwn(to) ? this.#handler.turn(request, signal) : this.#network.turn(to, request, signal);
  }

  async call(to: Destination, request: CallRequest, signal: AbortSignal): Promise<CallAnswer> {
    return await (this.#isOwn(to) ? this.#handler.call(request) : this.#network.call(to, request, signal));
  }

  events(to: Destination, key: string, signal: AbortSignal): AsyncIterable<unknown> {
    return this.#isOwn(to) ? this.#handler.events(key, signal) : this.#network.events(to, key, signal);
  }

  close(): Promise<void> {
    return this.#network.close();
  }

  #isOwn({ boot }: Destination): boolean {
    return boot === this.#boot();
  }
}

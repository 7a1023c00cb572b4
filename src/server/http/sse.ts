import type { Clock, Timer } from "../../clock.ts";

/** One server-sent event. Clients of Anthropic's SDK drop events without a name. */
export interface ServerEvent {
  readonly event: string;
  /** Sent as JSON. */
  readonly data: unknown;
  /** What a client that reconnects sends as `Last-Event-ID`. */
  readonly id?: string;
}

/** What all event streams of a server have in common. */
export interface StreamTerms {
  readonly clock: Clock;
  /** Aborted when the server drains. Streams then end, and clients reconnect. */
  readonly draining: AbortSignal;
  /** Milliseconds of silence before a `ping` is sent, so that proxies keep the connection and a lost client is noticed. */
  readonly pingMs: number;
  /** Milliseconds that a client may take nothing before its stream is cut. */
  readonly stallMs: number;
}

/** The default terms of streams. */
export const STREAM_DEFAULTS: Pick<StreamTerms, "pingMs" | "stallMs"> = { pingMs: 15_000, stallMs: 60_000 };

/** Options of one stream. */
export interface StreamOptions {
  /** The last event before a drain ends the stream, for a protocol that has one. Default: only the delay of the next line. */
  readonly drained?: ServerEvent;
  readonly headers?: Readonly<Record<string, string>>;
}

/** How long a client of a drained stream waits before it reconnects, in milliseconds. */
const RECONNECT_MS = 1_000;

/**
 * Returns a response of server-sent events. Events that are ready in one turn of the event loop share a chunk of about 16,000
 * characters. The next chunk is made when the client has taken the one before, so a client that does not read holds a chunk, an event and
 * the socket's buffer, and is cut after `stallMs`. A source that cannot wait has to bound what it keeps; see {@link EventBuffer}.
 *
 * @param source makes the events. Its signal is aborted when the client leaves, is cut, or the server drains; the source then returns.
 * An error of the source breaks the connection, so that the client reconnects. A stream that begins while the server drains has only
 * the end that the drain gives it
 */
export function eventStream(
  source: (signal: AbortSignal) => AsyncIterable<ServerEvent>,
  terms: StreamTerms,
  options: StreamOptions = {},
): Response {
  const headers = new Headers(options.headers);
  headers.set("content-type", "text/event-stream; charset=utf-8");
  headers.set("cache-control", "no-cache, no-transform");
  // Otherwise nginx buffers the events.
  headers.set("x-accel-buffering", "no");
  return new Response(new ReadableStream(new EventStream(source, terms, options), { highWaterMark: 0 }), { headers });
}

/** Returns the id of the last event that a reconnecting client has seen. */
export function lastEventId(headers: Headers): string | undefined {
  return headers.get("last-event-id") || undefined;
}

/** The size at which a chunk of events is sent, in characters. */
const CHUNK = 16_384;

const encoder = new TextEncoder();
const PING = encoder.encode(frame({ event: "ping", data: { type: "ping" } }));

/** Formats an event. JSON has no line breaks, and names and ids are the server's own. */
function frame({ event, data, id }: ServerEvent): string {
  return `${id === undefined ? "" : `id: ${id}\n`}event: ${event}\ndata: ${JSON.stringify(data)}\n\n`;
}

class EventStream {
  readonly #terms: StreamTerms;
  readonly #options: StreamOptions;
  readonly #abort = new AbortController();
  readonly #source: (signal: AbortSignal) => AsyncIterable<ServerEvent>;
  /** Begun by the first read: nobody reads or cancels the body of the answer to a HEAD request. */
  #events: AsyncIterator<ServerEvent> | undefined;
  /** The source's next event, if it has been asked for. */
  #asked: Promise<IteratorResult<ServerEvent, unknown>> | undefined;
  /** Ends the wait for an event. A promise that lives as long as the stream would keep a reaction for each event. */
  #wake: (() => void) | undefined;
  readonly #onDrain = (): void => this.#wake?.();
  #timer: Timer | undefined;
  #pulling = false;

  constructor(source: (signal: AbortSignal) => AsyncIterable<ServerEvent>, terms: StreamTerms, options: StreamOptions) {
    this.#terms = terms;
    this.#options = options;
    this.#source = source;
  }

  async pull(controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> {
    this.#pulling = true;
    this.#pingLater(controller);
    try {
      const next = await this.#next();
      // The client may have left or been cut in the meantime.
      if (this.#abort.signal.aborted) return;
      if (next === "drained") {
        const { drained } = this.#options;
        controller.enqueue(encoder.encode(`retry: ${RECONNECT_MS}\n\n${drained === undefined ? "" : frame(drained)}`));
        this.#close(controller);
      } else if (next.done) {
        this.#close(controller);
      } else {
        const chunk = await this.#chunk(next.value);
        if (this.#abort.signal.aborted) return;
        controller.enqueue(encoder.encode(chunk));
        this.#cutLater(controller);
      }
    } catch (error) {
      this.#end();
      throw error;
    } finally {
      this.#pulling = false;
    }
  }

  cancel(): void {
    this.#end();
  }

  /** Resolves with the next event, or when the server drains. */
  async #next(): Promise<IteratorResult<ServerEvent, unknown> | "drained"> {
    if (this.#terms.draining.aborted) return "drained";
    this.#events ??= this.#begin();
    const { promise, resolve, reject } = Promise.withResolvers<IteratorResult<ServerEvent, unknown> | "drained">();
    this.#wake = () => resolve("drained");
    this.#asked ??= this.#events.next();
    this.#asked.then(resolve, reject);
    const next = await promise;
    if (next !== "drained") this.#asked = undefined;
    return next;
  }

  /** Returns the frames of an event and of those that follow it in this turn of the event loop. */
  async #chunk(first: ServerEvent): Promise<string> {
    let chunk = frame(first);
    let over = false;
    let wake: (() => void) | undefined;
    setImmediate(() => {
      over = true;
      wake?.();
    });
    while (chunk.length < CHUNK && !this.#abort.signal.aborted) {
      const { promise, resolve } = Promise.withResolvers<IteratorResult<ServerEvent, unknown> | undefined>();
      wake = () => resolve(undefined);
      this.#asked = this.#events?.next();
      // The next read of the stream gets the error.
      this.#asked?.then(resolve, wake);
      const next = over ? undefined : await promise;
      if (next === undefined || next.done === true) break;
      this.#asked = undefined;
      chunk += frame(next.value);
    }
    return chunk;
  }

  #begin(): AsyncIterator<ServerEvent> {
    this.#terms.draining.addEventListener("abort", this.#onDrain, { once: true });
    return this.#source(this.#abort.signal)[Symbol.asyncIterator]();
  }

  /** Pings while the source is silent. A client that does not take a ping takes nothing else. */
  #pingLater(controller: ReadableStreamDefaultController<Uint8Array>): void {
    this.#timer?.cancel();
    this.#timer = this.#terms.clock.schedule(
      this.#terms.pingMs,
      () => {
        controller.enqueue(PING);
        if (controller.desiredSize === 0) this.#pingLater(controller);
        else this.#cutLater(controller);
      },
      { background: true },
    );
  }

  /** Cuts the stream unless the client takes what it has been sent. */
  #cutLater(controller: ReadableStreamDefaultController<Uint8Array>): void {
    this.#timer?.cancel();
    const { clock, stallMs } = this.#terms;
    const cut = (): void => {
      // The client has taken the ping, and waits for an event.
      if (this.#pulling && controller.desiredSize === 0) {
        this.#pingLater(controller);
      } else {
        this.#end();
        controller.error(new Error(`The client took nothing for ${stallMs} ms.`));
      }
    };
    this.#timer = clock.schedule(stallMs, cut, { background: true });
  }

  #close(controller: ReadableStreamDefaultController<Uint8Array>): void {
    this.#end();
    controller.close();
  }

  #end(): void {
    this.#timer?.cancel();
    this.#terms.draining.removeEventListener("abort", this.#onDrain);
    this.#abort.abort();
    // Not awaited: it waits for a `next` that may be pending. A source that fails while it ends has no reader any more.
    void Promise.resolve(this.#events?.return?.()).catch(() => {});
  }
}

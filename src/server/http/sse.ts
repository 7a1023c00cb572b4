import type { Clock, Timer } from "../../clock.ts";
import { DirectBody, type DirectSource, type Sink } from "./direct-body.ts";

/** One server-sent event. Clients of Anthropic's SDK drop events without a name. */
export interface ServerEvent {
  readonly event: string;
  /** Sent as JSON. */
  readonly data: unknown;
  /** What a client that reconnects sends as `Last-Event-ID`. */
  readonly id?: string;
}

/** An event that several streams send. It is formatted once. */
export class SharedEvent implements ServerEvent {
  readonly event: string;
  readonly data: unknown;
  readonly id?: string;
  #bytes: Uint8Array | undefined;

  constructor(event: string, data: unknown, id?: string) {
    this.event = event;
    this.data = data;
    if (id !== undefined) this.id = id;
  }

  /** The event as it is sent. */
  get bytes(): Uint8Array {
    this.#bytes ??= bytesOf(this);
    return this.#bytes;
  }
}

/** Makes the events of a stream, in batches of those that are ready together. */
export type EventSource = (signal: AbortSignal) => AsyncIterable<readonly ServerEvent[]>;

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
 * Returns a response of server-sent events. Events of a batch share chunks of about 16,000 bytes. The next chunk is made when the client
 * has taken the one before, so a client that does not read holds a chunk, the rest of a batch and the socket's buffer, and is cut after
 * `stallMs`. A source that cannot wait has to bound what it keeps; see {@link EventBuffer}. {@link DirectBody} writes the body of the
 * response to a socket without a web stream in between.
 *
 * @param source its signal is aborted when the client leaves, is cut, or the server drains; the source then returns.
 * An error of the source breaks the connection, so that the client reconnects. A stream that begins while the server drains has only
 * the end that the drain gives it
 */
export function eventStream(source: EventSource, terms: StreamTerms, options: StreamOptions = {}): Response {
  const headers = new Headers(options.headers);
  headers.set("content-type", "text/event-stream; charset=utf-8");
  headers.set("cache-control", "no-cache, no-transform");
  // Otherwise nginx buffers the events.
  headers.set("x-accel-buffering", "no");
  const stream = new EventStream(source, terms, options);
  const body = new ReadableStream(stream, { highWaterMark: 0 });
  DirectBody.of(body, stream);
  return new Response(body, { headers });
}

/** Returns the id of the last event that a reconnecting client has seen. */
export function lastEventId(headers: Headers): string | undefined {
  return headers.get("last-event-id") || undefined;
}

/** The size at which a chunk of events is sent, in bytes. */
const CHUNK = 16_384;

const encoder = new TextEncoder();
const PING = bytesOf({ event: "ping", data: { type: "ping" } });

/** Formats an event. JSON has no line breaks, and names and ids are the server's own. */
function bytesOf({ event, data, id }: ServerEvent): Uint8Array {
  return encoder.encode(`${id === undefined ? "" : `id: ${id}\n`}event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
}

class EventStream implements DirectSource {
  readonly #terms: StreamTerms;
  readonly #options: StreamOptions;
  readonly #abort = new AbortController();
  readonly #source: EventSource;
  /** Begun by the first read: nobody reads or cancels the body of the answer to a HEAD request. */
  #events: AsyncIterator<readonly ServerEvent[]> | undefined;
  /** The source's next batch, if it has been asked for. */
  #asked: Promise<IteratorResult<readonly ServerEvent[], unknown>> | undefined;
  /** The batch that is being sent, and the index of its next event. */
  #batch: readonly ServerEvent[] = [];
  #sent = 0;
  /** Ends the wait for an event. A promise that lives as long as the stream would keep a reaction for each event. */
  #wake: (() => void) | undefined;
  readonly #onDrain = (): void => this.#wake?.();
  #timer: Timer | undefined;
  #pulling = false;

  constructor(source: EventSource, terms: StreamTerms, options: StreamOptions) {
    this.#terms = terms;
    this.#options = options;
    this.#source = source;
  }

  async pull(sink: Sink): Promise<void> {
    this.#pulling = true;
    this.#pingLater(sink);
    try {
      const next = await this.#next();
      // The client may have left or been cut in the meantime.
      if (this.#abort.signal.aborted) return;
      if (next === "drained") {
        const { drained } = this.#options;
        sink.enqueue(encoder.encode(`retry: ${RECONNECT_MS}\n\n`));
        if (drained !== undefined) sink.enqueue(bytesOf(drained));
        this.#close(sink);
      } else if (next === "done") {
        this.#close(sink);
      } else {
        sink.enqueue(this.#chunk());
        this.#cutLater(sink);
      }
    } catch (error) {
      this.#end();
      throw error;
    } finally {
      this.#pulling = false;
    }
  }

  /** Frees the source, because the client has left. Idempotent. */
  cancel(): void {
    this.#end();
  }

  /** Has this called once the stream has ended in any way. */
  onEnd(ended: () => void): void {
    if (this.#abort.signal.aborted) ended();
    else this.#abort.signal.addEventListener("abort", ended, { once: true });
  }

  /** Resolves when events are ready, when the source is done, or when the server drains. */
  async #next(): Promise<"ready" | "done" | "drained"> {
    if (this.#terms.draining.aborted) return "drained";
    while (this.#sent === this.#batch.length) {
      this.#events ??= this.#begin();
      const { promise, resolve, reject } = Promise.withResolvers<
        IteratorResult<readonly ServerEvent[], unknown> | "drained"
      >();
      this.#wake = () => resolve("drained");
      this.#asked ??= this.#events.next();
      this.#asked.then(resolve, reject);
      const next = await promise;
      if (next === "drained") return next;
      this.#asked = undefined;
      if (next.done === true) return "done";
      this.#batch = next.value;
      this.#sent = 0;
    }
    return "ready";
  }

  /** Returns the next events of the batch. A copy: whoever reads a web stream may transfer its bytes. */
  #chunk(): Uint8Array {
    const parts: Uint8Array[] = [];
    for (let size = 0; size < CHUNK && this.#sent < this.#batch.length; this.#sent++) {
      const event = this.#batch[this.#sent];
      if (event === undefined) continue;
      const bytes = event instanceof SharedEvent ? event.bytes : bytesOf(event);
      parts.push(bytes);
      size += bytes.length;
    }
    if (this.#sent === this.#batch.length) {
      this.#batch = [];
      this.#sent = 0;
    }
    return Buffer.concat(parts);
  }

  #begin(): AsyncIterator<readonly ServerEvent[]> {
    this.#terms.draining.addEventListener("abort", this.#onDrain, { once: true });
    return this.#source(this.#abort.signal)[Symbol.asyncIterator]();
  }

  /** Pings while the source is silent. A client that does not take a ping takes nothing else. */
  #pingLater(sink: Sink): void {
    this.#timer?.cancel();
    this.#timer = this.#terms.clock.schedule(
      this.#terms.pingMs,
      () => {
        sink.enqueue(PING);
        if (sink.desiredSize === 0) this.#pingLater(sink);
        else this.#cutLater(sink);
      },
      { background: true },
    );
  }

  /** Cuts the stream unless the client takes what it has been sent. */
  #cutLater(sink: Sink): void {
    this.#timer?.cancel();
    const { clock, stallMs } = this.#terms;
    const cut = (): void => {
      // The client has taken the ping, and waits for an event.
      if (this.#pulling && sink.desiredSize === 0) {
        this.#pingLater(sink);
      } else {
        this.#end();
        sink.error(new Error(`The client took nothing for ${stallMs} ms.`));
      }
    };
    this.#timer = clock.schedule(stallMs, cut, { background: true });
  }

  #close(sink: Sink): void {
    this.#end();
    sink.close();
  }

  #end(): void {
    this.#timer?.cancel();
    this.#terms.draining.removeEventListener("abort", this.#onDrain);
    this.#abort.abort();
    // Not awaited: it waits for a `next` that may be pending. A source that fails while it ends has no reader any more.
    void Promise.resolve(this.#events?.return?.()).catch(() => {});
  }
}

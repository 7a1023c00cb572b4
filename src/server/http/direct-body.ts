import type { ServerResponse } from "node:http";

/** Where a source of bytes puts them: the controller of a web stream, or a socket. */
export type Sink = Pick<ReadableStreamDefaultController<Uint8Array>, "desiredSize" | "enqueue" | "close" | "error">;

/** A source of bytes for a web stream that holds nothing in advance, or for a {@link DirectBody}. */
export interface DirectSource {
  /** Puts the next bytes into the sink, or closes it. */
  pull(sink: Sink): Promise<void>;
  /** Ends the source, because the client has left. Idempotent. */
  cancel(): void;
  /** Has this called once the source has ended in any way. */
  onEnd(ended: () => void): void;
}

const bodies = new WeakMap<ReadableStream<Uint8Array>, DirectBody>();

/**
 * The body of a response that can be written to a Node response without its web stream, which costs several promises for each chunk and
 * each stream that wraps it.
 */
export class DirectBody {
  readonly #source: DirectSource;

  private constructor(source: DirectSource) {
    this.#source = source;
  }

  /** Remembers the source of a web stream. */
  static of(body: ReadableStream<Uint8Array>, source: DirectSource): void {
    bodies.set(body, new DirectBody(source));
  }

  /** Returns the direct body of a response whose body nobody reads, or undefined if it has none. */
  static in({ body }: Response): DirectBody | undefined {
    return body === null || body.locked ? undefined : bodies.get(body);
  }

  /** Has this called when the body has ended in any way, also because the client is gone. */
  onEnd(ended: () => void, gone: AbortSignal): void {
    const leave = (): void => this.#source.cancel();
    this.#source.onEnd(() => {
      gone.removeEventListener("abort", leave);
      ended();
    });
    if (gone.aborted) leave();
    else gone.addEventListener("abort", leave, { once: true });
  }

  /**
   * Writes the body until it ends or the client leaves. A body that fails closes the connection, which the client takes as cut.
   *
   * @param failed gets the error
   */
  async writeTo(outgoing: ServerResponse, failed: (error: unknown) => void): Promise<void> {
    const sink = new ResponseSink(outgoing, failed);
    const leave = (): void => this.#source.cancel();
    outgoing.on("close", leave).on("error", leave);
    if (outgoing.destroyed) leave();
    try {
      while (!sink.isOver) {
        await this.#source.pull(sink);
        if (!sink.isOver && outgoing.writableNeedDrain) await sink.drained();
      }
    } catch (error) {
      sink.error(error);
    }
  }
}

class ResponseSink implements Sink {
  readonly #outgoing: ServerResponse;
  readonly #failed: (error: unknown) => void;

  constructor(outgoing: ServerResponse, failed: (error: unknown) => void) {
    this.#outgoing = outgoing;
    this.#failed = failed;
  }

  /** Whether nothing more can be written. */
  get isOver(): boolean {
    return this.#outgoing.writableEnded || this.#outgoing.destroyed;
  }

  /** Zero if the client has taken all; the socket's buffer counts as taken. */
  get desiredSize(): number {
    return this.#outgoing.writableNeedDrain ? -1 : 0;
  }

  enqueue(bytes: Uint8Array): void {
    // The event that tells that the client has left comes later.
    if (!this.#outgoing.destroyed) this.#outgoing.write(bytes);
  }

  close(): void {
    this.#outgoing.end();
  }

  error(error: unknown): void {
    // A client that has left is no failure.
    if (!this.#outgoing.destroyed) this.#failed(error);
    this.#outgoing.destroy();
  }

  /** Resolves when the client has taken all, or has left. */
  async drained(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#outgoing.once("drain", resolve).once("close", resolve);
    await promise;
    this.#outgoing.off("drain", resolve).off("close", resolve);
  }
}

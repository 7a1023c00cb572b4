import type { Clock, Timer } from "../../clock.ts";
import { OVER } from "../protocol/wire.ts";
import { EMPTY_LINE, jsonLine } from "./json-lines.ts";

export interface HttpStreamOptions {
  readonly clock: Clock;
  /** Interval of the empty lines that show the reader that the connection lives, in milliseconds. */
  readonly pingMs: number;
  /** Aborted when the reader disconnects, or by the server before it breaks the connection. */
  readonly abort: AbortController;
  /** Called once when the stream ends. */
  readonly ended: () => void;
  /**
   * Called with what the values throw. It must break the connection, so that the reader sees that the stream is
   * incomplete.
   */
  readonly failed: (error: unknown) => void;
}

/**
 * Streams values as lines of JSON, with `OVER` as the last one. It pulls the next value only when the reader has taken
 * the last one, so nothing accumulates for a slow reader.
 */
export function lineStream(
  values: () => AsyncIterable<unknown>,
  options: HttpStreamOptions,
): ReadableStream<Uint8Array> {
  const { clock, pingMs, abort, ended, failed } = options;
  let iterator: AsyncIterator<unknown> | undefined;
  let timer: Timer | undefined;
  let open = true;
  const end = (): void => {
    if (!open) return;
    open = false;
    timer?.cancel();
    ended();
  };
  return new ReadableStream<Uint8Array>(
    {
      start(controller) {
        const ping = (): void => {
          // Sends no ping while the last line is unread.
          if (controller.desiredSize === 0) controller.enqueue(EMPTY_LINE);
          timer = clock.schedule(pingMs, ping, { background: true });
        };
        timer = clock.schedule(pingMs, ping, { background: true });
      },
      async pull(controller) {
        try {
          iterator ??= values()[Symbol.asyncIterator]();
          const { done, value } = await iterator.next();
          if (!open) return;
          controller.enqueue(jsonLine(done ? OVER : value));
          if (!done) return;
          controller.close();
          end();
        } catch (error) {
          if (open && !abort.signal.aborted) failed(error);
          end();
        }
      },
      cancel() {
        end();
        abort.abort();
        // The iterator may hang, and nobody waits for it.
        void Promise.resolve(iterator?.return?.()).catch(() => {});
      },
    },
    { highWaterMark: 0 },
  );
}

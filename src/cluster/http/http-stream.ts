import type { Clock, Timer } from "../../clock.ts";
import { OVER } from "../protocol/wire.ts";
import { EMPTY_LINE, jsonLine } from "./json-lines.ts";

export interface HttpStreamOptions {
  readonly clock: Clock;
  /** Interval of the empty lines that show the reader that the connection lives, in milliseconds. */
  readonly pingMs: number;
  /** How long the reader may take nothing, in milliseconds. */
  readonly stallMs: number;
  /** Aborted when the reader disconnects, or by the server before it breaks the connection. */
  readonly abort: AbortController;
  /** Called once when the stream ends. */
  readonly ended: () => void;
  /**
   * Called with what the values throw. It must break the connection, so that the reader sees that the stream is
   * incomplete.
   */
  readonly failed: (error: unknown) => void;
  /** Called when the reader has taken nothing for `stallMs`. It must break the connection. */
  readonly stalled: () => void;
}

/**
 * Streams values as lines of JSON, with `OVER` as the last one. It pulls the next value only when the reader has taken
 * the last one, so nothing accumulates for a slow reader; one that stops reading loses its connection.
 */
export function lineStream(
  values: () => AsyncIterable<unknown>,
  options: HttpStreamOptions,
): ReadableStream<Uint8Array> {
  const { clock, pingMs, stallMs, abort, ended, failed, stalled } = options;
  let iterator: AsyncIterator<unknown> | undefined;
  let timer: Timer | undefined;
  let open = true;
  /** How often the reader has asked for more, now and at the last ping. */
  let [pulls, pullsBefore] = [0, 0];
  const end = (): void => {
    if (!open) return;
    open = false;
    timer?.cancel();
    ended();
  };
  return new ReadableStream<Uint8Array>(
    {
      start(controller) {
        let unreadSince: number | undefined;
        const ping = (): void => {
          // Sends no ping while the last line is unread.
          const isUnread = controller.desiredSize !== 0;
          if (!isUnread) controller.enqueue(EMPTY_LINE);
          unreadSince = isUnread && pulls === pullsBefore ? (unreadSince ?? clock.monotonic()) : undefined;
          pullsBefore = pulls;
          if (unreadSince !== undefined && clock.monotonic() - unreadSince >= stallMs) stalled();
          else timer = clock.schedule(pingMs, ping, { background: true });
        };
        timer = clock.schedule(pingMs, ping, { background: true });
      },
      async pull(controller) {
        pulls += 1;
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

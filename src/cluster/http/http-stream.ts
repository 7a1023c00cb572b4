import type { Clock, Timer } from "../../clock.ts";
import { OVER } from "../protocol/wire.ts";
import { EMPTY_LINE, jsonLine } from "./json-lines.ts";

export interface HttpStreamOptions {
  readonly clock: Clock;
  /** How often an empty line is sent, in milliseconds, so that whoever reads knows that the connection is there. */
  readonly pingMs: number;
  /** Aborted when the reader has gone; who serves may abort it too, before he breaks the connection. */
  readonly abort: AbortController;
  /** Told once when the stream is over. */
  readonly ended: () => void;
  /** Told what the values have thrown. Has to break the connection, so that the reader sees that there is more. */
  readonly failed: (error: unknown) => void;
}

/**
 * Values as lines of JSON, the last of which is `OVER`. The next value is asked for only when the last one has been taken, so
 * that nothing gathers here for a reader who does not read.
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
          // A reader who has not even taken the last one gets no further one.
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
        // It may hang in the middle, and nobody waits for it.
        void Promise.resolve(iterator?.return?.()).catch(() => {});
      },
    },
    { highWaterMark: 0 },
  );
}

import { DirectBody } from "./direct-body.ts";

/**
 * Returns a response whose body tells its end: complete, failed, cancelled, or left by a client that is gone.
 *
 * @param signal aborted when the client is gone, also before anybody reads the body
 * @param ended is called at least once
 */
export function endingBody(response: Response, signal: AbortSignal, ended: () => void): Response {
  if (response.body === null) {
    ended();
    return response;
  }
  const direct = DirectBody.in(response);
  if (direct !== undefined) {
    direct.onEnd(ended, signal);
    return response;
  }
  const reader = response.body.getReader();
  const leave = (): void => void reader.cancel(signal.reason).catch(() => {});
  const over = (): void => {
    signal.removeEventListener("abort", leave);
    ended();
  };
  if (signal.aborted) leave();
  else signal.addEventListener("abort", leave, { once: true });
  const body = new ReadableStream<Uint8Array>(
    {
      start(controller) {
        reader.closed.then(over, (error: unknown) => {
          over();
          // Also while the client takes nothing, when nobody reads.
          controller.error(error);
        });
      },
      async pull(controller) {
        const { done, value } = await reader.read();
        if (done) controller.close();
        else controller.enqueue(value);
      },
      cancel: (reason) => reader.cancel(reason),
    },
    { highWaterMark: 0 },
  );
  return new Response(body, response);
}

import type { ServerResponse } from "node:http";

/**
 * Returns a response whose body closes the connection when it fails, which the client takes as cut. The Node adapter would write the
 * error to the console.
 *
 * @param failed gets the error
 */
export function unbroken(response: Response, outgoing: ServerResponse, failed: (error: unknown) => void): Response {
  if (response.body === null || response.headers.get("content-type")?.startsWith("application/json")) return response;
  const reader = response.body.getReader();
  // Also while the client takes nothing, when nobody reads.
  reader.closed.catch((error: unknown) => {
    // A client that has left is no failure.
    if (!outgoing.destroyed) failed(error);
    outgoing.destroy();
  });
  const body = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const { done, value } = await reader.read().catch(() => BROKEN);
        if (value !== undefined) controller.enqueue(value);
        else if (done) controller.close();
      },
      cancel: (reason) => reader.cancel(reason),
    },
    { highWaterMark: 0 },
  );
  return new Response(body, response);
}

/** A body that has failed has no end. Its connection is closed. */
const BROKEN = { done: false, value: undefined } as const;

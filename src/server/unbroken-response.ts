import type { ServerResponse } from "node:http";

/**
 * Returns a response whose body closes the connection when it fails, which the client takes as cut. The Node adapter would write the
 * error to the console besides.
 */
export function unbroken(response: Response, outgoing: ServerResponse): Response {
  if (response.body === null || response.headers.get("content-type")?.startsWith("application/json")) return response;
  const reader = response.body.getReader();
  const body = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          const { done, value } = await reader.read();
          if (done) controller.close();
          else controller.enqueue(value);
        } catch {
          outgoing.destroy();
        }
      },
      cancel: (reason) => reader.cancel(reason),
    },
    { highWaterMark: 0 },
  );
  return new Response(body, response);
}

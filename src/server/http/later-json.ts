const encoder = new TextEncoder();

/**
 * Returns an answer whose head goes out at once, and its body once it is known. Between them the client knows from the head that the
 * request has been carried out.
 *
 * @param body must not reject: a head that has been sent cannot become an error
 */
export function laterJson(body: Promise<unknown>, init: ResponseInit): Response {
  const headers = new Headers(init.headers);
  headers.set("content-type", "application/json");
  const stream = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        controller.enqueue(encoder.encode(JSON.stringify(await body)));
        controller.close();
      },
    },
    { highWaterMark: 0 },
  );
  return new Response(stream, { ...init, headers });
}

import { request } from "node:http";
import { Readable } from "node:stream";
import type { ReadableStream as NodeReadableStream } from "node:stream/web";

/** Returns a `fetch` whose requests go through a unix socket, for {@link CastellanClient}, which sends texts as bodies. */
export function socketFetch(socketPath: string): (url: string, init: RequestInit) => Promise<Response> {
  return async (url, { method = "GET", headers, body, signal }) => {
    const { pathname, search, host } = new URL(url);
    const { promise, resolve, reject } = Promise.withResolvers<Response>();
    const asking = request(
      {
        socketPath,
        path: `${pathname}${search}`,
        method,
        headers: { ...Object.fromEntries(new Headers(headers)), host },
        ...(signal && { signal }),
      },
      (answer) => {
        const { statusCode: status = 500 } = answer;
        const own = new Headers();
        for (const [name, values] of Object.entries(answer.headersDistinct)) {
          for (const value of values ?? []) own.append(name, value);
        }
        const hasBody = status !== 204 && status !== 304 && method !== "HEAD";
        if (!hasBody) answer.resume();
        const stream = Readable.toWeb(answer) as NodeReadableStream<Uint8Array> as ReadableStream<Uint8Array>;
        resolve(new Response(hasBody ? stream : null, { status, headers: own }));
      },
    );
    asking.once("error", reject);
    asking.end(typeof body === "string" ? body : undefined);
    return await promise;
  };
}

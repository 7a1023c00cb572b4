import { request } from "node:http";
import { Readable } from "node:stream";

/** Returns a `fetch` that makes its requests through a unix socket. */
export function socketFetch(socketPath: string): (url: string, init: RequestInit) => Promise<Response> {
  return (url, { method = "GET", headers, body, signal }) => {
    const { promise, resolve, reject } = Promise.withResolvers<Response>();
    const { pathname, search, host } = new URL(url);
    const own = { ...Object.fromEntries(new Headers(headers)), host };
    const call = request({ socketPath, path: pathname + search, method, headers: own, ...(signal && { signal }) });
    call.on("response", (answer) => {
      const stream = Readable.toWeb(answer) as ReadableStream<Uint8Array>;
      const given = Object.entries(answer.headers).map(([name, value]): [string, string] => [name, String(value)]);
      resolve(new Response(stream, { status: answer.statusCode ?? 0, headers: given }));
    });
    call.on("error", reject);
    call.end(body ?? undefined);
    return promise;
  };
}

import { RequestError } from "./request-error.ts";

/**
 * Reads a JSON body. The guards have limited its size. Resolves with undefined for an empty body.
 *
 * @throws RequestError `UNSUPPORTED_MEDIA_TYPE` for another type than JSON, which a page of another origin could send without
 * asking the server first; `MALFORMED_REQUEST`; `REQUEST_TOO_LARGE`
 */
export async function readJson(request: Pick<Request, "headers" | "text">): Promise<unknown> {
  let text: string;
  try {
    text = await request.text();
  } catch (error) {
    if (error instanceof RequestError) throw error;
    throw new RequestError("MALFORMED_REQUEST", "The body of the request is incomplete.", { cause: error });
  }
  if (text === "") return undefined;
  if (!isJson(request.headers.get("content-type"))) {
    throw new RequestError("UNSUPPORTED_MEDIA_TYPE", "The body must be JSON, with `content-type: application/json`.");
  }
  try {
    return JSON.parse(text);
  } catch {
    // The parser's message quotes the body, which may hold a prompt.
    throw new RequestError("MALFORMED_REQUEST", "The body of the request is not valid JSON.");
  }
}

function isJson(contentType: string | null): boolean {
  return /^application\/(?:[\w.-]+\+)?json\s*(?:;|$)/i.test(contentType ?? "");
}

/**
 * Reads a body whose length its head does not tell, and returns the request with it.
 *
 * @throws RequestError `REQUEST_TOO_LARGE` as soon as more than `maxBytes` have arrived; `MALFORMED_REQUEST` if it is incomplete
 */
export async function withBoundedBody(request: Request, maxBytes: number): Promise<Request> {
  if (request.body === null) return request;
  const pieces: Uint8Array[] = [];
  let size = 0;
  const reader = request.body.getReader();
  for (;;) {
    const { done, value } = await reader.read().catch((error: unknown) => {
      throw new RequestError("MALFORMED_REQUEST", "The body of the request is incomplete.", { cause: error });
    });
    if (done) break;
    size += value.length;
    if (size > maxBytes) throw tooLarge(maxBytes);
    pieces.push(value);
  }
  const { url, method, headers, signal } = request;
  return new Request(url, { method, headers, signal, body: size === 0 ? null : Buffer.concat(pieces, size) });
}

/** Returns the error for a body of more than `maxBytes`. */
export function tooLarge(maxBytes: number): RequestError {
  return new RequestError("REQUEST_TOO_LARGE", `The body of the request is larger than ${maxBytes} bytes.`);
}

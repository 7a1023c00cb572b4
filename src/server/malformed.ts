import type { Duplex } from "node:stream";
import { nativeErrorBody } from "./http/error-body.ts";
import { httpError } from "./http/http-error.ts";
import { RequestError } from "./http/request-error.ts";

/** Answers bytes that are no HTTP request, or one that takes too long or has too large a head, and closes the connection. */
export function refuseMalformed(error: Error & { readonly code?: string }, socket: Duplex): void {
  // The client has gone.
  if (error.code === "ECONNRESET" || !socket.writable) {
    socket.destroy();
    return;
  }
  const [status, refusal] = refusalOf(error.code);
  const body = JSON.stringify(nativeErrorBody(httpError(refusal, "user", 0)));
  const head = [
    `HTTP/1.1 ${status}`,
    "content-type: application/json",
    `content-length: ${Buffer.byteLength(body)}`,
    "connection: close",
  ];
  socket.end(`${head.join("\r\n")}\r\n\r\n${body}`);
}

function refusalOf(code: string | undefined): readonly [status: string, RequestError] {
  switch (code) {
    case "HPE_HEADER_OVERFLOW":
      return [
        "431 Request Header Fields Too Large",
        new RequestError("REQUEST_TOO_LARGE", "The headers are too large."),
      ];
    case "ERR_HTTP_REQUEST_TIMEOUT":
      return ["408 Request Timeout", new RequestError("MALFORMED_REQUEST", "The request took too long to arrive.")];
    default:
      return ["400 Bad Request", new RequestError("MALFORMED_REQUEST", "This is not a valid HTTP/1.1 request.")];
  }
}

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

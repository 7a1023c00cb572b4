/** The name of the cookie that keeps a token. */
const NAME = "castellan-dashboard";

/** Returns the token in the request's cookie, if any. */
export function tokenInCookie(headers: Headers): string | undefined {
  for (const part of (headers.get("cookie") ?? "").split(";")) {
    const at = part.indexOf("=");
    if (at > 0 && part.slice(0, at).trim() === NAME) return part.slice(at + 1).trim();
  }
  return undefined;
}

/**
 * Returns the value of `Set-Cookie` that keeps a token until the browser ends, out of reach of scripts and of other sites. The cookie
 * holds the token itself, so that a login outlives a restart of the server, and a revoked token ends it.
 *
 * @param token `undefined` removes the cookie
 */
export function loginCookie(token: string | undefined, request: Request, basePath: string): string {
  const parts = [`${NAME}=${token ?? ""}`, `Path=${basePath}`, "HttpOnly", "SameSite=Strict"];
  if (isSecure(request)) parts.push("Secure");
  if (token === undefined) parts.push("Max-Age=0");
  return parts.join("; ");
}

/** Whether the browser speaks HTTPS. A proxy that ends TLS says so; a client that lies loses only its own cookie. */
function isSecure({ url, headers }: Request): boolean {
  return new URL(url).protocol === "https:" || headers.get("x-forwarded-proto")?.split(",")[0]?.trim() === "https";
}

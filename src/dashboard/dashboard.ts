import type { IncomingMessage, ServerResponse } from "node:http";
import { getRequestListener } from "@hono/node-server";
import type { Supervisor } from "../application/supervisor.ts";
import { systemClock } from "../clock.ts";
import type { Arrival } from "../server/access/guards.ts";
import { isAllowedOrigin } from "../server/access/hosts.ts";
import { TokenStore } from "../server/access/token-store.ts";
import { checkSupervisor, ServerApplication } from "../server/handler.ts";
import { withBoundedBody } from "../server/http/body.ts";
import { nativeErrorBody } from "../server/http/error-body.ts";
import { httpError } from "../server/http/http-error.ts";
import { RequestError } from "../server/http/request-error.ts";
import { serverSettings } from "../server/server-options.ts";
import { type DashboardOptions, type DashboardSettings, dashboardSettings } from "./dashboard-options.ts";
import { loginCookie } from "./login-cookie.ts";
import { PageAccess } from "./page-access.ts";
import { type LoginWay, pageDocument } from "./page-document.ts";
import { fileResponse, PageFiles } from "./page-files.ts";
import { PAGE_HEADERS } from "./page-headers.ts";

/** Answers the requests of the page: its files, its login, and the API that it uses. */
export interface Dashboard {
  /** Answers a Web-standard request below `basePath`. Never rejects. */
  (request: Request): Promise<Response>;
  /** Answers a request of `node:http`, for Express and Fastify. The path is that of the request, with `basePath`. */
  listener(incoming: IncomingMessage, outgoing: ServerResponse): void;
  /** As a mount of `listen`, which knows whom it trusts. */
  handle(request: Request, arrival: Arrival): Promise<Response>;
  /** Ends the event streams of open pages, which reconnect. Other requests are answered as before. */
  drain(): void;
}

/**
 * Makes the handler of a page that shows and operates the sessions of a supervisor. The page loads nothing from other hosts, and uses
 * `castellan/client` only.
 *
 * @throws CastellanError `INVALID_OPTIONS`, also without `auth`
 * @example
 * const page = dashboard(supervisor, { auth: ".castellan/tokens.jsonl", basePath: "/agents" });
 * app.all("/agents/*", (c) => page(c.req.raw));
 */
export function dashboard(supervisor: Supervisor, options: DashboardOptions): Dashboard {
  return dashboardOf(supervisor, options, new PageFiles());
}

/** @internal As {@link dashboard}, with the files of the page. */
export function dashboardOf(supervisor: Supervisor, options: DashboardOptions, files: PageFiles): Dashboard {
  checkSupervisor(supervisor);
  const application = new DashboardApplication(supervisor, dashboardSettings(options), files);
  const handle = (request: Request, arrival: Arrival): Promise<Response> => application.handle(request, arrival);
  const answer = (request: Request): Promise<Response> => handle(request, { trusted: false });
  const respond = getRequestListener(answer, { overrideGlobalObjects: false });
  return Object.assign(answer, {
    handle,
    listener: (incoming: IncomingMessage, outgoing: ServerResponse): void => {
      // Express cuts the path where it mounts.
      const { originalUrl } = incoming as { readonly originalUrl?: string };
      if (originalUrl !== undefined) incoming.url = originalUrl;
      void respond(incoming, outgoing);
    },
    drain: () => application.drain(),
  });
}

/** The largest body of a login, in bytes. */
const LOGIN_BYTES = 4_096;

const READS: ReadonlySet<string> = new Set(["GET", "HEAD"]);

class DashboardApplication {
  readonly #settings: DashboardSettings;
  readonly #access: PageAccess;
  readonly #api: { readonly ours: ServerApplication; readonly trusted: ServerApplication };
  readonly #files: PageFiles;

  constructor(supervisor: Supervisor, settings: DashboardSettings, files: PageFiles) {
    const access = new PageAccess(settings, systemClock);
    const { basePath, logger, hosts } = settings;
    const api = (trusted: boolean): ServerApplication => {
      const authenticate = (request: Request) => access.callerOf(request, trusted);
      const names = trusted ? (hosts ?? []) : hosts;
      const given = {
        tokens: false as const,
        authenticate,
        basePath,
        ...(logger && { logger }),
        ...(names && { hosts: names }),
      };
      return new ServerApplication(supervisor, serverSettings(given));
    };
    this.#settings = settings;
    this.#access = access;
    this.#files = files;
    this.#api = { ours: api(false), trusted: api(true) };
  }

  drain(): void {
    this.#api.ours.drain();
    this.#api.trusted.drain();
  }

  async handle(request: Request, { trusted }: Arrival): Promise<Response> {
    try {
      return await this.#answer(request, trusted);
    } catch (error) {
      const shown = httpError(error, "user", systemClock.now());
      if (shown.code === "INTERNAL") this.#settings.logger?.warn(`The dashboard failed: ${String(error)}`);
      const headers = { ...shown.headers, ...PAGE_HEADERS, "cache-control": "no-store" };
      return Response.json(nativeErrorBody(shown), { status: shown.status, headers });
    }
  }

  async #answer(request: Request, trusted: boolean): Promise<Response> {
    const { basePath } = this.#settings;
    const { pathname, search } = new URL(request.url);
    if (pathname === basePath) {
      return new Response(null, { status: 308, headers: { ...PAGE_HEADERS, location: `${basePath}/${search}` } });
    }
    if (!pathname.startsWith(`${basePath}/`)) throw missing();
    const path = pathname.slice(basePath.length);
    if (!READS.has(request.method)) checkOrigin(request);
    if (path.startsWith("/castellan/v1/")) return await this.#ofApi(request, trusted);
    if (path === "/login") return await this.#login(request);
    if (!READS.has(request.method)) throw new RequestError("METHOD_NOT_ALLOWED", "This path takes only GET.");
    return path.startsWith("/assets/") ? await this.#file(request, path) : await this.#document(request);
  }

  async #ofApi(request: Request, trusted: boolean): Promise<Response> {
    const { ours, trusted: open } = this.#api;
    const answer = await (trusted ? open : ours).handle(request, { trusted: false });
    for (const [name, value] of Object.entries(PAGE_HEADERS)) answer.headers.set(name, value);
    return answer;
  }

  /** Takes a token and gives a cookie, or takes the cookie away. */
  async #login(request: Request): Promise<Response> {
    const { auth, basePath } = this.#settings;
    if (!(auth instanceof TokenStore)) throw missing();
    if (request.method !== "POST" && request.method !== "DELETE") {
      throw new RequestError("METHOD_NOT_ALLOWED", "This path takes only POST and DELETE.");
    }
    const token = request.method === "POST" ? await this.#givenToken(request) : undefined;
    const headers = { ...PAGE_HEADERS, "cache-control": "no-store" };
    return new Response(null, {
      status: 204,
      headers: { ...headers, "set-cookie": loginCookie(token, request, basePath) },
    });
  }

  /** @throws RequestError `MALFORMED_REQUEST`, `REQUEST_TOO_LARGE`, `UNAUTHENTICATED` */
  async #givenToken(request: Request): Promise<string> {
    const token = (await (await withBoundedBody(request, LOGIN_BYTES)).text()).trim();
    await this.#access.callerByToken(token);
    return token;
  }

  async #file(request: Request, path: string): Promise<Response> {
    const file = await this.#files.find(path.slice("/assets/".length));
    if (file === undefined) throw missing();
    return withPageHeaders(fileResponse(file, request));
  }

  async #document(request: Request): Promise<Response> {
    const { basePath } = this.#settings;
    const headers = { ...PAGE_HEADERS, "content-type": "text/html; charset=utf-8", "cache-control": "no-cache" };
    const body = request.method === "HEAD" ? null : pageDocument(basePath, this.#loginWay());
    return new Response(body, { headers });
  }

  #loginWay(): LoginWay {
    const { auth } = this.#settings;
    if (auth === false) return "none";
    return auth instanceof TokenStore ? "token" : "application";
  }
}

/** Refuses a write that does not come from the page itself. Browsers send the header with every write. @throws RequestError `BAD_ORIGIN` */
function checkOrigin({ url, headers }: Request): void {
  const origin = headers.get("origin");
  const host = headers.get("host") ?? new URL(url).host;
  if (origin !== null && isAllowedOrigin(origin, host, [])) return;
  throw new RequestError("BAD_ORIGIN", "Only the page itself may write here. Other programs use `castellan/client`.");
}

function withPageHeaders(response: Response): Response {
  for (const [name, value] of Object.entries(PAGE_HEADERS)) response.headers.set(name, value);
  return response;
}

function missing(): RequestError {
  return new RequestError("NOT_FOUND", "There is no such path on this server.");
}

/** How to reach a server, and how long to try. */
export interface ClientOptions {
  /** The address of the server, such as `"http://127.0.0.1:4870"`, without `/castellan/v1`. */
  readonly url: string | URL;
  /** The token of the caller. Default: none, for a server that needs none. */
  readonly token?: string | undefined;
  /** Makes the requests, for example through a unix socket. Default: the global `fetch`. */
  readonly fetch?: ((url: string, init: RequestInit) => Promise<Response>) | undefined;
  /**
   * How long one attempt may take, in milliseconds. Default 30,000; 120,000 for requests that wait for a process. Streams, exports and
   * drains have no limit.
   */
  readonly timeout?: number | undefined;
  /** How often to retry a request after a transient failure, if a retry is safe. Default 2. */
  readonly retries?: number | undefined;
  /**
   * How long a stream of events, or a wait for a turn, goes without an answer of the server before it fails, in milliseconds. Default
   * 300,000. `Infinity` to try forever.
   */
  readonly patience?: number | undefined;
  /** After which silence a stream connects again, in milliseconds. The server sends something every 15 s. Default 60,000. */
  readonly streamIdle?: number | undefined;
}

/** Options of one request. */
export interface RequestOptions {
  /** Aborting it ends the request, which then rejects with the signal's reason. The server may have carried it out. */
  readonly signal?: AbortSignal | undefined;
  /** Overrides the client's `timeout`, in milliseconds. */
  readonly timeout?: number | undefined;
}

/** {@link ClientOptions} with their defaults. */
export interface ClientSettings {
  /** The address of the API, without a slash at its end. */
  readonly base: string;
  readonly token: string | undefined;
  readonly fetch: (url: string, init: RequestInit) => Promise<Response>;
  readonly timeout: number | undefined;
  readonly retries: number;
  readonly patience: number;
  readonly streamIdle: number;
}

/** @throws TypeError if the address is no URL of HTTP */
export function clientSettings(options: ClientOptions): ClientSettings {
  const { url, token, fetch, timeout, retries = 2, patience = 300_000, streamIdle = 60_000 } = options;
  const { origin, pathname, protocol } = new URL(url);
  if (protocol !== "http:" && protocol !== "https:") throw new TypeError(`Expected an http or https URL; got ${url}.`);
  return {
    base: `${origin}${pathname.replace(/\/+$/, "")}/castellan/v1`,
    token,
    // Browsers accept only a call of `fetch` as a method of the global object.
    fetch: fetch ?? ((address, init) => globalThis.fetch(address, init)),
    timeout,
    retries,
    patience,
    streamIdle,
  };
}

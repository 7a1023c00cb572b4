import { CastellanApiError } from "./api-error.ts";
import type { Connection } from "./connection.ts";
import { backoff, delay } from "./delay.ts";
import { SseParser, type StreamedEvent } from "./sse-parser.ts";

/** Events of the stream itself, which its readers do not get. */
const OWN: ReadonlySet<string> = new Set(["ping", "reconnect"]);

/**
 * Yields the events of a stream, and connects again whenever it breaks, after the last event that it has yielded: the server sends what
 * follows. Ends after `ended`.
 *
 * @param path below the API, with its query
 * @throws CastellanApiError why the server refuses the stream, or `SERVER_UNREACHABLE` after the client's `patience`; the reason of the
 * aborted signal
 */
export async function* eventStream(
  connection: Connection,
  path: string,
  signal: AbortSignal | undefined,
): AsyncGenerator<StreamedEvent, void, undefined> {
  const { patience } = connection.settings;
  const position: Position = { lastId: undefined, retryMs: 0 };
  let attempt = 0;
  let since = Date.now();
  for (;;) {
    signal?.throwIfAborted();
    let failure: unknown;
    try {
      for await (const event of connected(connection, path, position, signal)) {
        attempt = 0;
        if (event.event === "ended") return;
        if (!OWN.has(event.event)) yield event;
        // Counts from when the reader has taken the event.
        since = Date.now();
      }
    } catch (error) {
      signal?.throwIfAborted();
      if (error instanceof CastellanApiError && !error.retryable) throw error;
      failure = error;
    }
    const retryAfterMs = failure instanceof CastellanApiError ? failure.retryAfterMs : undefined;
    const pause = backoff(attempt++, Math.max(position.retryMs, retryAfterMs ?? 0));
    if (Date.now() + pause - since > patience) throw gaveUp(patience, failure);
    await delay(pause, signal);
  }
}

interface Position {
  lastId: string | undefined;
  retryMs: number;
}

/** Yields the events of one connection. Ends when the server closes it, and throws when it breaks. */
async function* connected(
  connection: Connection,
  path: string,
  position: Position,
  signal: AbortSignal | undefined,
): AsyncGenerator<StreamedEvent, void, undefined> {
  const { streamIdle } = connection.settings;
  const leaving = new AbortController();
  const ends = signal === undefined ? leaving.signal : AbortSignal.any([signal, leaving.signal]);
  const silence = new Silence(streamIdle, () =>
    leaving.abort(new Error(`The stream was silent for ${streamIdle} ms.`)),
  );
  const parser = new SseParser();
  const decoder = new TextDecoder();
  try {
    silence.begin();
    const headers = {
      accept: "text/event-stream",
      ...(position.lastId !== undefined && { "last-event-id": position.lastId }),
    };
    const { body } = await connection.stream({ method: "GET", path, headers }, ends);
    if (body === null) return;
    const reader = body.getReader();
    for (;;) {
      silence.begin();
      const { done, value } = await reader.read();
      // A slow reader of the events is no silence of the server.
      silence.end();
      if (done) return;
      for (const event of parser.parse(decoder.decode(value, { stream: true }))) {
        position.lastId = event.id ?? position.lastId;
        position.retryMs = parser.retryMs ?? 0;
        yield event;
      }
      position.retryMs = parser.retryMs ?? 0;
    }
  } finally {
    silence.end();
    leaving.abort();
  }
}

/** Watches for a silence that is too long. */
class Silence {
  readonly #ms: number;
  readonly #over: () => void;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(ms: number, over: () => void) {
    this.#ms = ms;
    this.#over = over;
  }

  begin(): void {
    this.end();
    if (this.#ms !== Number.POSITIVE_INFINITY) this.#timer = setTimeout(this.#over, this.#ms);
  }

  end(): void {
    clearTimeout(this.#timer);
  }
}

function gaveUp(patience: number, cause: unknown): CastellanApiError {
  const message = `The stream of events could not be continued for ${patience} ms. Check that the server runs.`;
  return new CastellanApiError("SERVER_UNREACHABLE", message, { status: 0, retryable: true, cause });
}

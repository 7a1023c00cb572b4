import type { CallAnswer, CallRequest, EventFrame, EventsRequest, TurnFrame, TurnRequest } from "./frames.ts";

/** A node, and how to reach it. */
export interface Destination {
  readonly boot: string;
  readonly address: string;
  /** The highest common protocol. */
  readonly protocol: number;
}

/**
 * Sends requests to nodes. It rejects with {@link Unreachable} if a request gets no answer: nobody listens, the
 * connection breaks, or the node refuses the signature.
 */
export interface Transport {
  /** Leaving the loop or aborting the signal closes the connection and has no other effect. */
  turn(to: Destination, request: TurnRequest, signal: AbortSignal): AsyncIterable<TurnFrame>;
  call(to: Destination, request: CallRequest, signal: AbortSignal): Promise<CallAnswer>;
  /** Yields the session's events, see `Session.events`. Ends when they do, or the session moves. */
  events(to: Destination, request: EventsRequest, signal: AbortSignal): AsyncIterable<EventFrame>;
  close(): Promise<void>;
}

/**
 * Handles requests of other nodes: the server side of a {@link Transport}. Reports a caller's mistake in its answer,
 * never by rejecting.
 */
export interface RequestHandler {
  turn(request: TurnRequest, signal: AbortSignal): AsyncIterable<TurnFrame>;
  call(request: CallRequest): Promise<CallAnswer>;
  events(request: EventsRequest, signal: AbortSignal): AsyncIterable<EventFrame>;
}

/** A node that could not be reached, or went away during a request: the request may have taken effect. */
export class Unreachable extends Error {
  override readonly name = "Unreachable";
  /** Whether the node certainly has not received the request. */
  readonly unsent: boolean;
  /** Whether a retry is pointless until a person changes something, such as a secret or a release. */
  readonly permanent: boolean;

  constructor(
    message: string,
    {
      unsent = false,
      permanent = false,
      cause,
    }: { readonly unsent?: boolean; readonly permanent?: boolean; readonly cause?: unknown } = {},
  ) {
    super(message, cause === undefined ? undefined : { cause });
    this.permanent = permanent;
    this.unsent = unsent;
  }
}

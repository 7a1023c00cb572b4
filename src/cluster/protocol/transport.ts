import type { CallAnswer, CallRequest, TurnFrame, TurnRequest } from "./frames.ts";

/** A node, as it is reached. */
export interface Destination {
  readonly boot: string;
  readonly address: string;
  /** The highest protocol that both sides speak. */
  readonly protocol: number;
}

/**
 * Carries what nodes ask each other. What cannot be carried (nobody listens, the connection breaks, it is refused as not
 * authentic) makes it reject with {@link Unreachable}; a node that is there answers.
 */
export interface Transport {
  /** Leaving the loop, or aborting the signal, ends the connection and nothing else. */
  turn(to: Destination, request: TurnRequest, signal: AbortSignal): AsyncIterable<TurnFrame>;
  call(to: Destination, request: CallRequest, signal: AbortSignal): Promise<CallAnswer>;
  /** What happens to a session from now on, see `Session.events`; ends with the session, or when it moves. */
  events(to: Destination, key: string, signal: AbortSignal): AsyncIterable<unknown>;
  close(): Promise<void>;
}

/** What answers the requests of other nodes; the other end of a {@link Transport}. Never rejects for what a caller asked wrongly. */
export interface RequestHandler {
  turn(request: TurnRequest, signal: AbortSignal): AsyncIterable<TurnFrame>;
  call(request: CallRequest): Promise<CallAnswer>;
  events(key: string, signal: AbortSignal): AsyncIterable<unknown>;
}

/** A node could not be reached, or went away in the middle; nobody knows what it has done. */
export class Unreachable extends Error {
  override readonly name = "Unreachable";
  /** Whether it is certain that the node has not even got the request. */
  readonly unsent: boolean;
  /** Whether asking again would be answered the same way, until somebody changes something: another secret, another release. */
  readonly hopeless: boolean;

  constructor(
    message: string,
    {
      unsent = false,
      hopeless = false,
      cause,
    }: { readonly unsent?: boolean; readonly hopeless?: boolean; readonly cause?: unknown } = {},
  ) {
    super(message, cause === undefined ? undefined : { cause });
    this.hopeless = hopeless;
    this.unsent = unsent;
  }
}

import { type Clock, pause } from "../../clock.ts";
import { batchesOf } from "../../session/record/event-readers.ts";
import type { RecordedEvent, SessionEvent } from "../../session/record/session-event-types.ts";
import type { ServerEvent } from "../http/sse.ts";
import { resolve } from "./contents.ts";
import { after, type EventState, toolUseOf } from "./event-state.ts";
import { EventIds } from "./ids.ts";
import { evaluatedAt } from "./permission.ts";
import { formatPlace } from "./place.ts";
import { Previews } from "./previews.ts";
import { ALL_SOURCES } from "./recorded-types.ts";
import type { SessionPort } from "./session-port.ts";
import type { StreamStart, ToolUseEvent } from "./stream-start.ts";
import { type Thread, translateFor } from "./thread.ts";
import type { PreviewedType, WireDelta, WireEvent } from "./wire-event.ts";

/** What a stream needs besides its session. */
export interface StreamOptions {
  readonly clock: Clock;
  readonly start: StreamStart;
  readonly thread: Thread;
  /** The events to preview. */
  readonly deltas: ReadonlySet<PreviewedType>;
  /** Returns the event about what the session has used, after a turn. */
  readonly usage: (id: string, at: number) => Promise<WireEvent>;
  /** Returns the last event of a session whose record has ended, if there is one. */
  readonly ending: () => Promise<WireEvent | undefined>;
}

/** More than any recorded event has events on the wire. */
const WHOLE = 999;

/**
 * Yields the events of a session for the wire: recorded ones that follow, in their order, with previews in between. A tool
 * call is held until its permission is evaluated, and later events pass it.
 */
export function streamEvents(
  port: SessionPort,
  options: StreamOptions,
  signal: AbortSignal,
): AsyncIterable<readonly ServerEvent[]> {
  return new EventStream(port, options).read(signal);
}

class EventStream {
  readonly #port: SessionPort;
  readonly #options: StreamOptions;
  readonly #ids: EventIds;
  readonly #previews: Previews;
  #state: EventState;
  /** The number of the last event that was read. */
  #number: number;
  /** The tool calls that were not sent yet, by id. */
  readonly #held: Map<string, ToolUseEvent>;
  /** The messages that were sent as waiting, by turn. */
  readonly #waiting = new Map<string, RecordedEvent>();

  constructor(port: SessionPort, options: StreamOptions) {
    const { start } = options;
    this.#port = port;
    this.#options = options;
    this.#ids = new EventIds(port.name);
    this.#previews = new Previews(this.#ids, options.deltas);
    this.#state = start.state;
    this.#number = start.after;
    this.#held = new Map(start.held.map((event) => [event.id, event]));
  }

  async *read(signal: AbortSignal): AsyncGenerator<readonly ServerEvent[], void, undefined> {
    const { clock, start, ending } = this.#options;
    const reader = this.#port.session.events({
      after: start.after,
      types: [...ALL_SOURCES, ...this.#previews.sources],
    });
    const batches = batchesOf(reader);
    const leave = (): void => void reader.return();
    signal.addEventListener("abort", leave, { once: true });
    try {
      let next: Promise<IteratorResult<readonly SessionEvent[], void>> | undefined;
      while (!signal.aborted) {
        next ??= batches.next();
        const arrived = await this.#within(next, this.#due());
        if (arrived === undefined) {
          yield await Array.fromAsync(this.#release((tool) => this.#isDue(tool, clock.now())));
          continue;
        }
        next = undefined;
        if (arrived.done === true) break;
        for await (const sent of this.#takeAll(arrived.value)) {
          yield sent;
          if (sent.at(-1)?.event === "session.status_terminated") return;
        }
      }
      const last = signal.aborted ? undefined : await ending();
      if (last !== undefined) yield [{ event: last.type, data: last }];
    } finally {
      signal.removeEventListener("abort", leave);
      await reader.return();
    }
  }

  /** Yields what a batch has sent: at once, or, if it fails, up to there. Nothing follows the end of the session. */
  async *#takeAll(events: readonly SessionEvent[]): AsyncGenerator<readonly ServerEvent[], void, undefined> {
    const all: ServerEvent[] = [];
    try {
      for (const event of events) {
        for await (const sent of this.#take(event)) {
          all.push(sent);
          if (sent.event === "session.status_terminated") return;
        }
      }
    } finally {
      if (all.length > 0) yield all;
    }
  }

  /** Resolves as `next` does, or with undefined at this time, in milliseconds since the epoch. */
  async #within<Value>(next: Promise<Value>, at: number | undefined): Promise<Value | undefined> {
    if (at === undefined) return await next;
    const { clock } = this.#options;
    const cancel = new AbortController();
    const wait = Math.max(0, at - clock.now());
    try {
      return await Promise.race([
        next,
        pause(clock, wait, { signal: cancel.signal, background: true }).then(() => undefined),
      ]);
    } finally {
      cancel.abort();
    }
  }

  async *#take(event: SessionEvent): AsyncGenerator<ServerEvent, void, undefined> {
    if (event.number === undefined) {
      const previews = this.#isOfThread(event) ? this.#previews.of(event) : [];
      for (const preview of previews) yield live(preview);
      return;
    }
    const state = after(this.#state, event);
    yield* this.#release((tool) => isDecided(tool, event), state);
    if (event.type === "turn_ended" || event.type === "turn_retried") this.#previews.clear();
    if (event.type !== "tool_use") yield* this.#send(event);
    this.#state = state;
    this.#number = event.number;
    if (event.type !== "tool_use" || !this.#isOfThread(event, "or asked")) return;
    const { start } = this.#options;
    // The client has the event of its last place, unless it was held.
    if (event.number === start.after + 1 && start.sub > 0) return;
    this.#held.set(event.id, event);
    // Claude Code may have asked before it sent the call.
    yield* this.#release(({ id }) => state.tools.get(id)?.isAsked === true);
  }

  /** Sends the events of a recorded one, except those that the client has. */
  async *#send(event: RecordedEvent): AsyncGenerator<ServerEvent, void, undefined> {
    const { start } = this.#options;
    if (event.type === "turn_started") yield* this.#begun(event.turnId);
    const isQueued = event.type === "turn_accepted" && this.#waits(event);
    if (isQueued) this.#waiting.set(event.turnId, event);
    if (event.type === "turn_ended") this.#waiting.delete(event.turnId);
    const sent = this.#translate(event, { isQueued, isAsked: false });
    for (const [index, wire] of sent.entries()) {
      const isKnown = event.number === start.after + 1 && index < start.sub;
      if (isKnown) continue;
      const isLive = event.number > start.last;
      if (isLive && event.type === "turn_ended" && wire.type === "session.status_idle") {
        const usage = await this.#options.usage(this.#ids.numbered(event.number, "u"), event.at);
        yield { event: usage.type, data: usage };
      }
      yield await this.#placed(wire, event.number, index + 1);
    }
  }

  /** Sends the message of a turn again, because it waits no longer. */
  async *#begun(turnId: string): AsyncGenerator<ServerEvent, void, undefined> {
    const accepted = this.#waiting.get(turnId);
    if (accepted === undefined) return;
    this.#waiting.delete(turnId);
    for (const wire of this.#translate(accepted, { isQueued: false, isAsked: false })) {
      yield await this.#placed(wire, this.#number, WHOLE);
    }
  }

  /** Whether an accepted turn waits: it did when the stream began, or another one goes first. */
  #waits({ turnId, number }: Extract<RecordedEvent, { type: "turn_accepted" }>): boolean {
    const { queued, last } = this.#options.start;
    if (number <= last) return queued.has(turnId);
    return this.#state.running !== undefined || this.#waiting.size > 0;
  }

  /** Sends tool calls that were held. */
  async *#release(
    isWanted: (tool: ToolUseEvent) => boolean,
    state: EventState = this.#state,
  ): AsyncGenerator<ServerEvent, void, undefined> {
    for (const tool of [...this.#held.values()].filter(isWanted)) {
      this.#held.delete(tool.id);
      const isAsked = state.tools.get(tool.id)?.isAsked === true;
      for (const wire of this.#translate(tool, { isQueued: false, isAsked })) {
        yield await this.#placed(wire, this.#number, WHOLE);
      }
    }
  }

  /** When the next held tool call counts as allowed, in milliseconds since the epoch. */
  #due(): number | undefined {
    const times = [...this.#held.values()]
      .map((tool) => this.#evaluatedAt(tool))
      .filter((at) => typeof at === "number");
    return times.length === 0 ? undefined : Math.min(...times);
  }

  #isDue(tool: ToolUseEvent, now: number): boolean {
    const at = this.#evaluatedAt(tool);
    return typeof at === "number" && at <= now;
  }

  #evaluatedAt({ id }: ToolUseEvent): number | "now" | "later" {
    const tool = this.#state.tools.get(id);
    return tool === undefined ? 0 : evaluatedAt(tool, this.#state);
  }

  #translate(event: RecordedEvent, facts: { readonly isQueued: boolean; readonly isAsked: boolean }): WireEvent[] {
    return translateFor(this.#options.thread, { event, state: this.#state, ids: this.#ids, ...facts });
  }

  /** Whether the thread's readers see the event; of a subagent's tool calls, the session's own readers see those that ask. */
  #isOfThread({ parent }: SessionEvent & { readonly parent?: string }, also?: "or asked"): boolean {
    const { thread } = this.#options;
    if (thread !== "primary") return parent === thread.toolUseId;
    return parent === undefined || also === "or asked";
  }

  /** Returns an event with its contents, and with the place after it for a client that reconnects. */
  async #placed(wire: WireEvent, number: number, sub: number): Promise<ServerEvent> {
    const data = await resolve(wire, (reference) => this.#port.session.content(reference));
    const held = [...this.#held.values()].map((tool) => tool.number);
    return { event: wire.type, data, id: formatPlace({ number, sub, held }) };
  }
}

function live(preview: WireDelta): ServerEvent {
  return { event: preview.type, data: preview };
}

/** Whether an event tells whether the permission of a tool call was asked for. */
function isDecided({ id, turnId, parent }: ToolUseEvent, event: RecordedEvent): boolean {
  switch (event.type) {
    case "approval_requested":
      return toolUseOf(event) === id;
    case "tool_result":
      return event.toolUseId === id;
    case "turn_ended":
    case "turn_retried":
      return event.turnId === turnId && parent === undefined;
    default:
      return false;
  }
}

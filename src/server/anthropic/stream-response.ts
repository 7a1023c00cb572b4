import type { SessionInfo } from "../../application/finding.ts";
import type { Supervisor } from "../../application/supervisor.ts";
import { type Clock, pause } from "../../clock.ts";
import { CastellanError } from "../../errors.ts";
import type { SessionName } from "../../names.ts";
import { eventStream, lastEventId, type StreamTerms } from "../http/sse.ts";
import { streamEvents } from "./event-stream.ts";
import { timeOf } from "./event-translation.ts";
import { EventIds } from "./ids.ts";
import { infoOf, portOf } from "./session-port.ts";
import { storedIn } from "./stored-session.ts";
import { streamStart } from "./stream-start.ts";
import type { Thread } from "./thread.ts";
import type { PreviewedType, WireEvent } from "./wire-event.ts";
import { spentBy, wireUsage } from "./wire-session.ts";

/** What a stream needs. */
export interface StreamSource {
  readonly supervisor: Supervisor;
  readonly clock: Clock;
  readonly streams: StreamTerms;
}

/** Returns the response with a session's events from now on, or from the last event that the client has seen. */
export async function streamResponse(
  { supervisor, clock, streams }: StreamSource,
  info: SessionInfo,
  {
    headers,
    thread,
    deltas,
  }: { readonly headers: Headers; readonly thread: Thread; readonly deltas: ReadonlySet<PreviewedType> },
): Promise<Response> {
  const { name } = info;
  const port = portOf(supervisor, name);
  const ids = new EventIds(name);
  const start = await streamStart(port, lastEventId(headers), clock.now());
  const usage = async (id: string, at: number): Promise<WireEvent> => {
    const { budget = null } = storedIn((await infoOf(supervisor, name))?.metadata);
    const spent = wireUsage(await spentBy(supervisor, name));
    return { id, type: "session.usage", usage: spent, budget, processed_at: timeOf(at) };
  };
  const ending = async (): Promise<WireEvent | undefined> => {
    if (await isKept({ supervisor, clock }, name)) return undefined;
    return { id: ids.deleted(), type: "session.deleted", processed_at: timeOf(clock.now()) };
  };
  return eventStream((signal) => streamEvents(port, { clock, start, thread, deltas, usage, ending }, signal), streams);
}

/** How long an erasure may take from the end of the session's record until the session is gone, and how often to look. */
const ERASURE_MS = 2_000;
const LOOK_MS = 50;

/** Whether a session whose record has ended is still there: it was stopped, not erased. */
async function isKept({ supervisor, clock }: Omit<StreamSource, "streams">, name: SessionName): Promise<boolean> {
  const end = clock.monotonic() + ERASURE_MS;
  try {
    while ((await infoOf(supervisor, name)) !== undefined) {
      if (clock.monotonic() >= end) return true;
      await pause(clock, LOOK_MS, { background: true });
    }
    return false;
  } catch (error) {
    if (CastellanError.is(error, "SUPERVISOR_STOPPED")) return true;
    throw error;
  }
}

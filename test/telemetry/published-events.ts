import { type CastellanEvents, type EventName, eventNames, on } from "../../src/events.ts";

/** An event, and the channel it was published on. */
export interface PublishedEvent {
  readonly name: EventName;
  readonly event: object;
}

/** Returns the events that were published during `work`, in order. */
export async function eventsDuring(
  work: () => Promise<unknown>,
  names: readonly EventName[] = eventNames,
): Promise<PublishedEvent[]> {
  const seen: PublishedEvent[] = [];
  const ends = names.map((name) => on(name, (event) => seen.push({ name, event })));
  try {
    await work();
  } finally {
    for (const end of ends) end();
  }
  return seen;
}

/** Collects the events of a channel until it is disposed. */
export function collectEvents<Name extends EventName>(
  name: Name,
): { readonly heard: readonly CastellanEvents[Name][] } & Disposable {
  const heard: CastellanEvents[Name][] = [];
  const end = on(name, (event) => heard.push(event));
  return { heard, [Symbol.dispose]: end };
}

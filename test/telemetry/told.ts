import { type CastellanEvents, type EventName, eventNames, on } from "../../src/events.ts";

/** An event, and on which channel it was told. */
export interface Told {
  readonly name: EventName;
  readonly event: object;
}

/** What was told, in order, while `work` was done. */
export async function told(work: () => Promise<unknown>, names: readonly EventName[] = eventNames): Promise<Told[]> {
  const seen: Told[] = [];
  const ends = names.map((name) => on(name, (event) => seen.push({ name, event })));
  try {
    await work();
  } finally {
    for (const end of ends) end();
  }
  return seen;
}

/** What is told on a channel from now on. */
export function hearing<Name extends EventName>(
  name: Name,
): { readonly heard: readonly CastellanEvents[Name][] } & Disposable {
  const heard: CastellanEvents[Name][] = [];
  const end = on(name, (event) => heard.push(event));
  return { heard, [Symbol.dispose]: end };
}

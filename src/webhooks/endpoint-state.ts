/**
 * Whether an endpoint gets requests. `ready`: as many as it may. `failing`: one at `until`, in milliseconds of the monotonic
 * clock, to test whether it takes requests again. `disabled`: none, because it said that it wants no more (410), until
 * somebody retries it or the application restarts.
 */
export type EndpointState =
  | { readonly name: "ready" }
  | { readonly name: "failing"; readonly failures: number; readonly until: number }
  | { readonly name: "disabled" };

/** What changes the state of an endpoint. */
export type EndpointEvent =
  /** The receiver answered, whether it took the event or not. */
  | { readonly name: "answered" }
  | { readonly name: "unreachable"; readonly until: (failures: number) => number }
  | { readonly name: "gone" }
  | { readonly name: "retry" };

/** Returns the state after an event. Only `retry` enables a disabled endpoint: an earlier request may answer late. */
export function nextEndpointState(state: EndpointState, event: EndpointEvent): EndpointState {
  if (event.name === "retry") return { name: "ready" };
  if (state.name === "disabled" || event.name === "gone") return { name: "disabled" };
  if (event.name === "answered") return { name: "ready" };
  const failures = failuresOf(state) + 1;
  return { name: "failing", failures, until: event.until(failures) };
}

/** Returns how often in a row the endpoint could not be reached. */
export function failuresOf(state: EndpointState): number {
  return state.name === "failing" ? state.failures : 0;
}

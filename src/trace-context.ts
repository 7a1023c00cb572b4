/** What a process is given of the trace in which it is started, as environment variables such as `TRACEPARENT`. */
export type TraceEnvironment = () => Readonly<Record<string, string>>;

let source: TraceEnvironment | undefined;

/** The variables for a process that is started now; none unless somebody traces. */
export function traceEnvironment(): Readonly<Record<string, string>> {
  return source?.() ?? {};
}

/** Has processes given these variables from now on. @returns takes that back */
export function traceFrom(from: TraceEnvironment): () => void {
  source = from;
  return () => {
    if (source === from) source = undefined;
  };
}

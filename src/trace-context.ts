/** Returns the trace context for a new process, as environment variables such as `TRACEPARENT`. */
export type TraceEnvironment = () => Readonly<Record<string, string>>;

let source: TraceEnvironment | undefined;

/** The trace context for a process that starts now; empty without tracing. */
export function traceEnvironment(): Readonly<Record<string, string>> {
  return source?.() ?? {};
}

/** Sets the trace context of processes started from now on. @returns a function that reverts it */
export function provideTraceEnvironment(from: TraceEnvironment): () => void {
  source = from;
  return () => {
    if (source === from) source = undefined;
  };
}

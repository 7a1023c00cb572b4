import type { ChildEvent, ChildSpec, ChildType, Restart, Shutdown } from "./child-spec.ts";

/** A child spec with every field decided. */
export interface ChildSettings {
  readonly id: string;
  readonly start: ChildSpec["start"];
  readonly restart: Restart;
  readonly shutdown: Shutdown;
  readonly type: ChildType;
  readonly significant: boolean;
  readonly onEvent: ((event: ChildEvent) => void) | undefined;
}

const WORKER_SHUTDOWN = 5_000;

/** Fills in the defaults of a child spec. */
export function childSettings(spec: ChildSpec): ChildSettings {
  const { id, restart = "permanent", type = "worker", significant = false } = spec;
  const shutdown = spec.shutdown ?? (type === "supervisor" ? "infinity" : WORKER_SHUTDOWN);
  const start: ChildSpec["start"] = (context) => spec.start(context);
  const onEvent = spec.onEvent === undefined ? undefined : (event: ChildEvent) => spec.onEvent?.(event);
  return { id, start, restart, shutdown, type, significant, onEvent };
}

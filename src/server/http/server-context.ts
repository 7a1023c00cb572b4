import type { Supervisor } from "../../application/supervisor.ts";
import type { Clock } from "../../clock.ts";
import type { Caller } from "./caller.ts";
import type { StreamTerms } from "./sse.ts";

/** What the routes work with. */
export interface ServerContext {
  readonly supervisor: Supervisor;
  readonly clock: Clock;
  readonly newId: () => string;
  readonly streams: StreamTerms;
}

/** What the guards put into a request's context before a route runs. */
export interface ServerEnv {
  readonly Variables: {
    readonly caller: Caller;
    /** Unique; also in the header `request-id` and in errors. */
    readonly requestId: string;
  };
}

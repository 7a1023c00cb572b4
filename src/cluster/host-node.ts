import { nameKey } from "../names.ts";
import type { Engine } from "./protocol/engine.ts";
import type { HostNode } from "./session-host.ts";

/** Returns what the host of a run needs of its node. `claim` claims a session, and tells whether the run owns it. */
export function hostNodeOf(engine: Engine, boot: string, claim: HostNode["claim"]): HostNode {
  return {
    claim,
    reserveJob: (key) => engine.reserveJob(boot, key),
    shareTurns: async (limit, wanted, running) =>
      (await engine.shareTurns?.(boot, limit, wanted, running)) ?? { limit, held: running },
    countJobs: (key) => engine.countJobs(key),
    sessionKeys: async (prefix) => (await engine.sessions(prefix)).map(({ name }) => nameKey(name)),
  };
}

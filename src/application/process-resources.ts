import { Capacity } from "../capacity/capacity.ts";
import { MemoryWatch } from "../capacity/memory-watch.ts";
import { Spares } from "../capacity/spares.ts";
import { TurnLimiter } from "../capacity/turn-limiter.ts";
import type { StartActivation } from "../claude/activation.ts";
import { ClaudeActivation } from "../claude/claude-activation.ts";
import { readMemory } from "../claude/memory.ts";
import type { SharedResources } from "../session/context/shared-resources.ts";
import type { SupervisorSettings } from "./options/supervisor-options.ts";
import type { SupervisorDeps } from "./supervisor-deps.ts";
import type { SessionTable } from "./tree/session-table.ts";
import { advisor } from "./warnings.ts";

/** What the resources ask the supervisor that has them. */
interface ResourcesOwner {
  /** Whether the journal keeps the transcripts that processes write. */
  readonly mirrors: () => boolean;
  readonly sessions: () => SessionTable;
  /** Reports the release of Claude Code in a process that has started. */
  readonly started: (release: string) => void;
}

/** Makes what the sessions of a supervisor share. */
export function processResources(
  { capacity: limits, given, logger }: SupervisorSettings,
  deps: SupervisorDeps,
  { mirrors, sessions, started }: ResourcesOwner,
): SharedResources {
  const capacity = new Capacity(limits.maxProcesses, limits.memoryBudget);
  const memory = new MemoryWatch(deps.clock, deps.readMemory ?? readMemory, () => capacity.measured());
  const start = deps.startActivation ?? ClaudeActivation.start;
  const startActivation: StartActivation = async (request, clock) => {
    const activation = await start({ ...request, mirrored: mirrors() }, clock);
    if (activation.release !== undefined) started(activation.release);
    return activation;
  };
  const allowed = { limit: limits.spares, byDefault: given.capacity?.spares === undefined };
  const spares = new Spares(allowed, capacity, memory, { ...deps, startActivation });
  return {
    capacity,
    memory,
    spares,
    turns: deps.turns ?? new TurnLimiter(limits.maxConcurrentTurns),
    startActivation,
    advise: advisor(logger),
    keyRefused: (credentials) => {
      for (const { server } of sessions()) server.credentials.refused(credentials);
      spares.renew();
    },
  };
}

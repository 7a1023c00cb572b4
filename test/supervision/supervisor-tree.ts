import type { Child, ChildSpec } from "../../src/supervision/child-spec.ts";
import { ChildSupervisor } from "../../src/supervision/supervisor.ts";
import type { Stage } from "./stage.ts";
import type { Plan, Team } from "./tree.ts";

/** The real supervisors of a team, on a stage. */
export class SupervisorTree {
  /** The latest supervisor of each id; the root is `r`. */
  readonly supervisors: Map<string, ChildSupervisor> = new Map();
  readonly #stage: Stage;

  constructor(stage: Stage) {
    this.#stage = stage;
  }

  async start({ children, options }: Team): Promise<void> {
    const specs = children.map((plan) => this.spec(plan));
    this.supervisors.set("r", await ChildSupervisor.start(specs, options, this.#stage.deps()));
  }

  spec(plan: Plan): ChildSpec {
    const { id, restart, significant, inner } = plan;
    if (inner === undefined) return this.#stage.spec(id, { restart, significant });
    const start = async ({ signal }: { signal: AbortSignal }): Promise<Child> => {
      this.#stage.log.push(`start ${id}`);
      const specs = inner.children.map((child) => this.spec(child));
      const supervisor = await ChildSupervisor.start(specs, inner.options, this.#stage.deps(signal));
      this.supervisors.set(id, supervisor);
      const stop: Child["stop"] = (how) => {
        this.#stage.log.push(`stop ${id}`);
        return supervisor.stop(how);
      };
      return { exited: supervisor.exited, stop };
    };
    return { id, restart, significant, type: "supervisor", start, onEvent: this.#stage.listener(id) };
  }
}

/** Returns all workers of a team, at any depth. */
export function workersOf(plans: readonly Plan[]): Plan[] {
  return plans.flatMap((plan) => (plan.inner === undefined ? [plan] : workersOf(plan.inner.children)));
}

/** Returns the choice at `number` modulo their count. */
export function pick<T>(choices: readonly T[], number: number): T | undefined {
  return choices[number % choices.length];
}

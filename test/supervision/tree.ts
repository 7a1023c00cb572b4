import fc from "fast-check";
import type { ChildExit, Restart } from "../../src/supervision/child-spec.ts";
import type { SupervisorSpec } from "../../src/supervision/supervisor-spec.ts";

/** The plan of a child: a worker, or a supervisor with children of its own. */
export interface Plan {
  readonly id: string;
  readonly restart: Restart;
  readonly significant: boolean;
  readonly inner: Team | undefined;
}

/** The plan of a supervisor. */
export interface Team {
  readonly options: SupervisorSpec;
  readonly children: readonly Plan[];
}

interface Sketch {
  readonly restart: Restart;
  readonly significant: boolean;
  readonly inner: TeamSketch | undefined;
}

interface TeamSketch {
  readonly options: SupervisorSpec;
  readonly children: readonly Sketch[];
}

const restart = fc.constantFrom<Restart[]>("permanent", "permanent", "transient", "temporary");

const options: fc.Arbitrary<SupervisorSpec> = fc
  .record({
    strategy: fc.constantFrom("one_for_one", "one_for_all", "rest_for_one"),
    maxRestarts: fc.nat(3),
    maxSeconds: fc.constantFrom(1, 5),
    ending: fc.constantFrom(
      { onMaxRestarts: "quarantine", onStartFailure: "continue" } as const,
      { onMaxRestarts: "quarantine", onStartFailure: "abort" } as const,
      { onMaxRestarts: "escalate", onStartFailure: "abort" } as const,
    ),
    autoShutdown: fc.constantFrom("never", "never", "any_significant", "all_significant"),
  })
  .map(({ ending, ...others }) => ({ ...others, ...ending }));

function team(depth: number): fc.Arbitrary<TeamSketch> {
  const inner = depth > 1 ? fc.option(team(depth - 1), { nil: undefined, freq: 2 }) : fc.constant(undefined);
  const child: fc.Arbitrary<Sketch> = fc.record({ restart, significant: fc.boolean(), inner });
  return fc.record({ options, children: fc.array(child, { minLength: 1, maxLength: 4 }) });
}

/** Teams up to three levels deep. Each child's id is its path: `r.0.2`. */
export const anyTeam: fc.Arbitrary<Team> = team(3).map((sketch) => named(sketch, "r"));

/** Teams of one level and several children, in which restarts overlap more often. */
export const anyFlatTeam: fc.Arbitrary<Team> = fc
  .record({
    options: fc.record({
      strategy: fc.constantFrom("one_for_all", "rest_for_one", "rest_for_one"),
      maxRestarts: fc.constantFrom(3, 100),
    }),
    children: fc.array(fc.record({ restart, significant: fc.constant(false), inner: fc.constant(undefined) }), {
      minLength: 3,
      maxLength: 6,
    }),
  })
  .map((sketch) => named(sketch, "r"));

export const anyRestart: fc.Arbitrary<Restart> = restart;

export const anyExit: fc.Arbitrary<ChildExit> = fc.constantFrom<ChildExit[]>(
  { reason: "normal" },
  { reason: "shutdown" },
  { reason: "abnormal" },
  { reason: "abnormal" },
  { reason: "abnormal", disposition: "count" },
  { reason: "abnormal", disposition: "free" },
  { reason: "abnormal", disposition: "quarantine" },
);

function named({ options: given, children }: TeamSketch, path: string): Team {
  const plans = children.map((sketch, index): Plan => {
    const id = `${path}.${index}`;
    // A significant child that fails for good ends its supervisor during the supervisor's own start, where starts and
    // ends overlap. Other tests cover that. So no temporary supervisor is significant, since its start can fail.
    const canFail = sketch.restart === "temporary" && sketch.inner !== undefined;
    const maySignify = sketch.restart !== "permanent" && given.autoShutdown !== "never" && !canFail;
    const inner = sketch.inner === undefined ? undefined : named(sketch.inner, id);
    return { id, restart: sketch.restart, significant: sketch.significant && maySignify, inner };
  });
  return { options: given, children: plans };
}

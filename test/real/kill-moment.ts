import fc from "fast-check";

/** What can be waited for in the life of an application, before it is killed. */
export type Sign =
  /** Its process was started. */
  | "begun"
  /** A turn is on disk, and its caller was told so. The first one comes while the sessions' processes are coming up. */
  | "accepted"
  /** All sessions are up. */
  | "ready"
  /** A prompt has come to the model. */
  | "prompted"
  /** The model has asked for a command. */
  | "commanded"
  /** A command has done its work. */
  | "appended"
  /** What a command answered has come to the model. */
  | "answered"
  /** How a turn ended has been told. */
  | "ended"
  /** All that it was asked has been told. */
  | "done";

/** When an application is killed: so long after the `n`-th sign of a kind. That time is chance itself, and waits for nothing. */
export interface KillMoment {
  readonly sign: Sign;
  readonly n: number;
  readonly ms: number;
  /** Whether it is told to stop at the sign, and killed while it does. */
  readonly stopping: boolean;
}

/** One thing that the application is asked. */
export interface Ask {
  readonly session: number;
  readonly how: "enqueue" | "query";
  /** To answer at once, at length, or after a command, which may take a while. */
  readonly what: "say" | "talk" | "append" | "append slowly";
}

/** One life of the application. */
export interface Life {
  /** What it is asked before it is ready, and when it is. */
  readonly early: readonly Ask[];
  readonly late: readonly Ask[];
  readonly moment: KillMoment;
}

/** Up to how long after which signs, in milliseconds; and up to which number of them. */
const MOMENTS: readonly (KillMoment & { readonly weight: number })[] = [
  { sign: "begun", n: 1, ms: 1_000, stopping: false, weight: 2 },
  { sign: "accepted", n: 1, ms: 1_500, stopping: false, weight: 2 },
  { sign: "accepted", n: 3, ms: 20, stopping: false, weight: 2 },
  { sign: "ready", n: 1, ms: 100, stopping: false, weight: 1 },
  { sign: "prompted", n: 3, ms: 100, stopping: false, weight: 4 },
  { sign: "commanded", n: 2, ms: 200, stopping: false, weight: 4 },
  { sign: "appended", n: 2, ms: 50, stopping: false, weight: 2 },
  { sign: "answered", n: 2, ms: 50, stopping: false, weight: 2 },
  { sign: "ended", n: 3, ms: 20, stopping: false, weight: 2 },
  { sign: "ready", n: 1, ms: 400, stopping: true, weight: 1 },
  { sign: "ended", n: 2, ms: 400, stopping: true, weight: 1 },
];

const ask: fc.Arbitrary<Ask> = fc.record({
  session: fc.nat({ max: 1 }),
  how: fc.constantFrom("enqueue", "enqueue", "enqueue", "query"),
  what: fc.constantFrom("say", "say", "talk", "append", "append", "append slowly"),
});

const moment: fc.Arbitrary<KillMoment> = fc
  .oneof(...MOMENTS.map(({ weight, ...limits }) => ({ weight, arbitrary: fc.constant(limits) })))
  .chain(({ sign, n, ms, stopping }) =>
    fc.record({
      sign: fc.constant(sign),
      n: fc.integer({ min: 1, max: n }),
      ms: fc.nat({ max: ms }),
      stopping: fc.constant(stopping),
    }),
  );

const life: fc.Arbitrary<Life> = fc.record({
  early: fc.array(ask, { minLength: 1, maxLength: 3 }),
  late: fc.array(ask, { maxLength: 3 }),
  moment,
});

/** The lives of a run, all by its seed. */
export function lives(seed: number, count: number): Life[] {
  return fc.sample(life, { seed, numRuns: count });
}

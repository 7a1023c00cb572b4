import fc from "fast-check";

/** The events of an application that a kill can wait for. */
export type Sign =
  /** Its process was started. */
  | "begun"
  /** A turn is on disk and was acknowledged. The first one comes while the sessions start. */
  | "accepted"
  /** All sessions have started. */
  | "ready"
  /** A prompt reached the model. */
  | "prompted"
  /** The model asked for a command. */
  | "commanded"
  /** A command appended its key. */
  | "appended"
  /** A command's result reached the model. */
  | "answered"
  /** The end of a turn was reported. */
  | "ended"
  /** Everything that was asked for was reported. */
  | "done";

/** When an application is killed: `ms` after the `n`-th sign of its kind. The delay is random and waits for nothing. */
export interface KillMoment {
  readonly sign: Sign;
  readonly n: number;
  readonly ms: number;
  /** Whether the application is told to stop at the sign, and killed while it stops. */
  readonly stopping: boolean;
}

/** One request to the application. */
export interface Ask {
  readonly session: number;
  readonly how: "enqueue" | "query";
  /** Answer at once, at length, or after a command, which may be slow. */
  readonly what: "say" | "talk" | "append" | "append slowly";
}

/** One run of the application. */
export interface Life {
  /** The requests before it is ready, and afterwards. */
  readonly early: readonly Ask[];
  readonly late: readonly Ask[];
  readonly moment: KillMoment;
}

/** For each sign the highest number and the longest delay in milliseconds. */
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

/** Returns the runs that a seed determines. */
export function lives(seed: number, count: number): Life[] {
  return fc.sample(life, { seed, numRuns: count });
}

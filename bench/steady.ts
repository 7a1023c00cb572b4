import type { Line } from "./line.ts";
import { turnCost } from "./turn-cost.ts";

/** The lines of `--check`: counts, and ratios of CPU time. Their limits are wider than the budgets, see docs/performance.md. */
export const STEADY: readonly Line[] = [turnCost];

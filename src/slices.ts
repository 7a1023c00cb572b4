/** How long the tasks of one slice may take, in milliseconds. The last one goes beyond that. */
const SLICE_MS = 2;

const waiting: (() => void)[] = [];
/** The index of the next task. */
let next = 0;
let isRunning = false;

/**
 * Runs tasks in their order, soon, each with all that it resolves. The event loop runs in between, every few milliseconds: microtasks
 * alone never let it, so that a thousand readers of an event would block it until the last one has the event.
 */
export function runInSlices(tasks: Iterable<() => void>): void {
  for (const task of tasks) waiting.push(task);
  if (isRunning || waiting.length === 0) return;
  isRunning = true;
  setImmediate(runSlice);
}

function runSlice(): void {
  runUntil(performance.now() + SLICE_MS);
}

function runUntil(end: number): void {
  const task = waiting[next];
  if (task === undefined) {
    waiting.length = 0;
    next = 0;
    isRunning = false;
    return;
  }
  if (performance.now() >= end) {
    setImmediate(runSlice);
    return;
  }
  next += 1;
  // A tick that a microtask asks for begins after all microtasks, also if the task throws.
  queueMicrotask(() => process.nextTick(runUntil, end));
  task();
}

/** Makes readers leave that were garbage-collected before they had ended. */
const abandoned = new FinalizationRegistry<() => void>((leave) => leave());

/**
 * Makes a generator end at once when its reader leaves: `return()` first calls `leave`, which has a pending `next()` resolve. A
 * plain async generator queues `return()` behind the pending `next()`, which may wait for an event that never comes.
 * `leave` is also called if nobody can read the generator any more; it must not refer to the generator.
 */
export function leavable<Value>(
  values: AsyncGenerator<Value, void, undefined>,
  leave: () => void,
): AsyncGenerator<Value, void, undefined> {
  const [end, fail] = [values.return.bind(values), values.throw.bind(values)];
  values.return = (value) => {
    leave();
    return end(value);
  };
  values.throw = (error: unknown) => {
    leave();
    return fail(error);
  };
  abandoned.register(values, leave);
  return values;
}
